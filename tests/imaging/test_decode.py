import io
import itertools
import struct
import warnings
import zlib
from collections.abc import Callable

import numpy as np
import pillow_heif
import pytest
import simplejpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from recognizer.imaging import Limits, load_image
from recognizer.imaging.formats import sniff
from recognizer.imaging.pixels import to_rgb
from recognizer.status import Reason, Status
from tests.hostile import (
    animation,
    encode,
    exif,
    gif,
    gif_frame,
    jpeg,
    many_scans,
    photo,
    png,
    png_chunk,
    tiff,
)
from tests.imaging.corpus import frames as animation_of
from tests.imaging.corpus import scene
from tests.pictures import encoded, frames

MAGICS = {
    "jpeg": b"\xff\xd8\xff",
    "png": b"\x89PNG\r\n\x1a\n",
    "gif": b"GIF89a",
    "bmp": b"BM" + bytes(12) + b"\x28\0\0\0",
    "tiff": b"II*\0",
    "webp": b"RIFF\0\0\0\0WEBP",
    "avif": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf",
    "heic": b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic",
    "jxl": b"\xff\x0a",
    "jpeg2000": b"\x00\x00\x00\x0cjP  \r\n\x87\n",
    "svg": b"\xef\xbb\xbf\n<?xml version='1.0'?><!-- a long comment --><SVG>",
    None: b"plain words",
}


def decoded(data, min_side=0):
    image = load_image(data, min_side=min_side)
    assert image.status is Status.OK, image.detail
    return image.frames[0].rgb


def difference(one, other):
    assert one.shape == other.shape
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


# How a file with that orientation stores an upright picture.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}

TURNED: dict[str, Callable[[Image.Image, int], bytes]] = {
    **{
        name: lambda image, turn, name=name: encode(image, name, exif=exif(turn), quality=95)
        for name in ("JPEG", "PNG", "AVIF")
    },
    "TIFF": lambda image, turn: encode(image, "TIFF", tiffinfo={274: turn}),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", TURNED)
def test_whatever_way_it_is_stored_an_image_is_upright(kind, orientation):
    upright = np.array(scene(size=(960, 640)))
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    data = TURNED[kind](image, orientation)
    sources = [data] if kind == "AVIF" else [data, Image.open(io.BytesIO(data))]
    for source, side in itertools.product(sources, (0, 64)):
        found = load_image(source, min_side=side)
        assert (found.width, found.height) == (960, 640)
        rgb = found.frames[0].rgb
        assert side <= rgb.shape[0] <= (128 if side and kind == "JPEG" else 640)
        assert difference(rgb, np.array(scene(size=rgb.shape[1::-1]))) < 5


def test_reducing_does_not_bleed_what_is_transparent():
    """Hidden red under full transparency must not tint the edge."""
    array = np.zeros((33, 33, 4), np.uint8)
    array[..., 0] = 255
    array[:, :17] = (0, 0, 0, 255)
    rgb = decoded(encode(Image.fromarray(array), "PNG"), 11).astype(int)
    assert (rgb[..., 0] == rgb[..., 1]).all()


@pytest.mark.parametrize(
    ("data", "color", "tolerance"),
    [
        (lambda: encode(Image.new("CMYK", (32, 32), (0, 200, 200, 0)), "TIFF"), (255, 55, 55), 1),
        (lambda: encode(Image.new("I;16", (32, 32), 32_896), "PNG"), (128, 128, 128), 0),
        (lambda: tiff(np.full((32, 32, 3), 32_896, np.uint16)), (128, 128, 128), 0),
        (lambda: encode(Image.new("1", (32, 32), 1), "PNG"), (255, 255, 255), 0),
    ],
)
def test_colors(data, color, tolerance):
    rgb = decoded(data())  # type: ignore[operator]
    assert np.abs(rgb[8, 8].astype(int) - color).max() <= tolerance


ANIMATED = ["GIF", "WEBP", "PNG", "AVIF"]


@pytest.mark.parametrize("name", ANIMATED)
@pytest.mark.parametrize(("count", "wanted"), [(4, 8), (20, 8), (20, 1), (9, 2)])
def test_the_first_and_the_last_frame_are_looked_at(name, count, wanted):
    image = load_image(animation(name, count), limits=Limits(max_frames=wanted))
    is_doubtful = count > wanted or name == "PNG"
    assert image.reason == (Reason.FRAMES_SKIPPED if is_doubtful else None)
    assert image.frame_count == count
    indices = [frame.index for frame in image.frames]
    assert len(indices) == min(count, wanted)
    assert indices[0] == 0
    assert indices == sorted(set(indices))
    assert wanted == 1 or indices[-1] == count - 1
    for frame in image.frames:
        tolerance = {"GIF": 12, "AVIF": 15}.get(name, 0.1)
        assert difference(frame.rgb, np.array(frames(count)[frame.index])) < tolerance


@pytest.mark.parametrize("name", ANIMATED)
@pytest.mark.parametrize(
    ("durations", "hidden"),
    [([20, 60_000] + [20] * 14, 1), ([100] * 15 + [20], 15), ([0] * 40, 16), ([40] * 40, 24)],
    ids=["for minutes", "the last, which stays", "no duration", "in the middle"],
)
def test_the_frames_shown_longest_are_looked_at(durations, hidden, name):
    """Of equally long ones, those that are spread evenly."""
    image = load_image(animation_of(name, durations, hidden))
    assert (image.status, image.reason) == (Status.DEGRADED, Reason.FRAMES_SKIPPED)
    indices = [frame.index for frame in image.frames]
    assert len(indices) == 8
    assert {0, hidden, len(durations) - 1} <= {*indices}
    assert len(durations) < 40 or indices == [0, 8, 16, 24, 28, 32, 36, 39]


def test_a_long_animation_of_large_frames_is_sampled_as_far_as_the_budget_goes():
    image = load_image(animation("GIF", 20), limits=Limits(max_pixels=4 * 48 * 32))
    assert (image.reason, image.frame_count) == (Reason.FRAMES_SKIPPED, 20)
    assert [frame.index for frame in image.frames] == [0, 1, 2, 3]


def test_a_jpeg_of_100_scans_is_decoded_and_one_of_more_is_not(monkeypatch):
    many = load_image(many_scans(100)).frames[0].rgb
    assert difference(many, decoded(jpeg(progressive=True))) < 20
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *_, **__: pytest.fail("it is decoded"))
    more = many_scans(101)
    # With restart intervals a decoder goes on behind a marker that is reserved.
    first = more.index(b"\xff\xda")
    head, scan, rest = more[:first], more[first : first + 40], more[first + 40 :]
    for data in (more, head + b"\xff\xdd\0\4\0\4" + scan + b"\xff\2" + rest):
        assert load_image(data).reason is Reason.UNSUPPORTED_FORMAT


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.98])
@pytest.mark.parametrize("name", ["PNG", "GIF", "GIF interlaced", "BMP", "TIFF", "WEBP", "AVIF"])
def test_an_image_of_another_format_that_ends_early_is_not_scored(name, share):
    """Without the last passes of an interlaced image a model would see filling."""
    kind, _, interlace = name.partition(" ")
    data = encode(photo(160, 128), kind, **({"interlace": 1} if interlace else {}))
    image = load_image(data[: int(share * len(data))])
    assert (image.status, image.frames) == (Status.FAILED, ())


def test_the_last_scans_of_a_progressive_jpeg_are_seen():
    squares = (np.indices((64, 96)).sum(0) // 4 % 2 * 160 + 48).astype(np.uint8)
    data = encoded(Image.fromarray(squares), "JPEG", quality=95, progressive=True)
    first_scan = data[: data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)] + b"\xff\xd9"
    assert load_image(first_scan).frames[0].rgb.std() < 3  # all blocks have one mean
    assert load_image(data).frames[0].rgb.std() > 70


def heic(orientation):
    """Red above blue, 200 x 120, stored with an EXIF orientation."""
    top, bottom = (np.full((60, 200, 3), c, np.uint8) for c in ((200, 30, 30), (30, 30, 200)))
    buffer = io.BytesIO()
    picture = pillow_heif.from_pillow(Image.fromarray(np.concatenate([top, bottom])))
    picture.save(buffer, quality=90, exif=exif(orientation))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("orientation", "upright", "red", "blue"),
    [(1, (200, 120), (10, 50), (50, 50)), (6, (120, 200), (50, 50), (50, 10))],
)
def test_heic_is_reduced_and_turned_upright_once(orientation, upright, red, blue):
    loaded = load_image(heic(orientation), min_side=50)
    assert (loaded.status, loaded.format) == (Status.OK, "heic")
    assert (loaded.width, loaded.height) == upright
    rgb = loaded.frames[0].rgb
    assert rgb.shape[1::-1] == (upright[0] // 2, upright[1] // 2)
    assert rgb[red] == pytest.approx([200, 30, 30], abs=8)
    assert rgb[blue] == pytest.approx([30, 30, 200], abs=8)


def test_of_several_images_of_a_heic_the_primary_one_is_scored():
    file = pillow_heif.HeifFile()
    for level in (0, 90, 180):
        file.add_frombytes("RGB", (64, 64), bytes([level] * 64 * 64 * 3))
    buffer = io.BytesIO()
    file.save(buffer, quality=90, primary_index=1)
    loaded = load_image(buffer.getvalue())
    assert (loaded.status, loaded.reason) == (Status.DEGRADED, Reason.FRAMES_SKIPPED)
    assert (loaded.frame_count, round(float(loaded.frames[0].rgb.mean()))) == (3, 90)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBa", "La", "PA", "YCbCr", "HSV", "I"])
def test_any_mode_of_pillow_becomes_rgb(mode):
    image = Image.new(mode, (20, 20))
    assert to_rgb(image, 5).shape == (5, 5, 3)
    assert to_rgb(image, 100).shape == (20, 20, 3)


# Hypothesis: whatever the bytes are, there is a status, and no exception.
_VALID = {
    "jpeg": jpeg(),
    "progressive": jpeg(progressive=True),
    **{name: encode(photo(24, 20), name) for name in ("PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF")},
    "apng": animation("PNG"),
    "agif": animation("GIF"),
    "awebp": animation("WEBP"),
    "gif": gif((4, 4), gif_frame(4, 4), gif_frame()),
    "png": png(4, 4, bytes(52)),
    "zlib_tiff": encode(photo(24, 20), "TIFF", compression="tiff_lzw"),
}
_FUZZ = settings(max_examples=400, deadline=5000, suppress_health_check=[HealthCheck.too_slow])


def check(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = load_image(data, min_side=16, limits=Limits(max_pixels=1_000_000))
    assert bool(image.frames) == (image.status is not Status.FAILED)
    assert (image.reason is None) == (image.status is Status.OK)
    assert image.reason not in {Reason.INTERNAL_ERROR, Reason.DECODER_CRASH}
    for frame in image.frames:
        assert frame.rgb.dtype == np.uint8
        assert frame.rgb.ndim == 3
        assert frame.rgb.size


@_FUZZ
@given(st.sampled_from(sorted(filter(None, MAGICS))), st.binary(max_size=400))
def test_random_bytes_behind_each_magic(name, rest):
    check(MAGICS[name] + rest)


@settings(_FUZZ, max_examples=1000)
@given(
    st.sampled_from(sorted(_VALID)),
    st.lists(st.tuples(st.floats(0, 0.9999), st.integers(1, 255)), max_size=8),
    st.booleans(),
    st.just(1.0) | st.floats(0, 1),
)
def test_valid_files_with_bytes_flipped_or_cut(name, flips, in_header, share):
    data = bytearray(_VALID[name])
    reach = min(len(data), 120) if in_header else len(data)
    for place, mask in flips:
        data[int(place * reach)] ^= mask
    check(bytes(data[: int(share * len(data))]))


@pytest.mark.parametrize("size", [16, 20, 24, 36, 42, 44, 46, 48, 60])
def test_a_bmp_of_any_header_is_one(size):
    """Browsers show these, Pillow does not."""
    data = encode(photo(), "BMP")
    header = struct.pack("<I", size) + (data[18:54] + bytes(20))[: size - 4]
    image = load_image(data[:10] + struct.pack("<I", 14 + size) + header + data[54:])
    assert (image.status, image.reason) == (Status.FAILED, Reason.UNSUPPORTED_FORMAT)
    assert image.format == "bmp"


@pytest.mark.parametrize("behind", [b"tEXt", b"tRNS", b"abCd"])
def test_pixels_of_a_png_that_are_not_together_are_not_scored(behind):
    """Browsers show those in front."""
    whole = encode(photo(), "PNG")
    at = whole.index(b"IDAT")
    pixels = whole[at + 4 : -16]
    first, second = (png_chunk(b"IDAT", part) for part in (pixels[:900], pixels[900:]))
    for between, status in ((b"", Status.OK), (png_chunk(behind, bytes(6)), Status.FAILED)):
        data = whole[: at - 4] + first + between + second + whole[-12:]
        assert load_image(data).status is status


def without_second_frame(kind):
    """An animation whose second frame is empty."""
    data = animation(kind, 3)
    if kind == "PNG":
        at = data.index(b"fdAT")
        size = int.from_bytes(data[at - 4 : at], "big")
        return data[: at - 4] + png_chunk(b"fdAT", data[at + 4 : at + 8]) + data[at + 8 + size :]
    second = data.index(b"!\xf9", data.index(b"!\xf9") + 2)
    return data[:second] + gif_frame(0, 0) + data[second:]


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_an_animation_that_is_not_decoded_to_its_end_says_so(kind):
    image = load_image(without_second_frame(kind))
    assert (image.status, len(image.frames)) == (Status.DEGRADED, 1)
    assert image.reason in {Reason.TRUNCATED, Reason.CORRUPT_DATA}


@pytest.mark.parametrize("name", MAGICS)
def test_formats_are_known_by_their_magic_bytes(name):
    assert sniff(MAGICS[name]) == name
    assert sniff(MAGICS[name] + bytes(400)) == name
    assert sniff(MAGICS[name].replace(b"\x1cftyp", b"\1ftyp\0\0\0\0\0\0\0\x24")) == name


def test_pixels_that_look_like_a_chunk_make_no_animation():
    rows = (b"\0" + b"fcTL" * 48) * 64
    header = struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)
    assert b"fcTL" in data
    assert load_image(data).status is Status.OK
