import hashlib
import io
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image

from recognizer.errors import UsageError
from recognizer.imaging import Limits, load_image, model_input
from recognizer.status import Reason, Status
from tests.hostile import encode, exif, jpeg, photo
from tests.pictures import scene

RGB = np.array(photo())
PNG = encode(photo(), "PNG")


def png_file(folder):
    (folder / "föö bär.png").write_bytes(PNG)
    return folder / "föö bär.png"


def _rotated(folder):
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(RGB)))
    return Image.open(io.BytesIO(encode(turned, "PNG", exif=exif(6))))


class Dribble(io.RawIOBase):
    """A file object that gives a little at a time."""

    def __init__(self):
        self.rest = PNG

    def read(self, count=-1):
        piece, self.rest = self.rest[:100], self.rest[100:]
        return piece


SOURCES: dict[str, Callable[[Path], object]] = {
    "path": png_file,
    "bytes": lambda _: PNG,
    "bytearray": lambda _: bytearray(PNG),
    "memoryview": lambda _: memoryview(PNG),
    "BytesIO": lambda _: io.BytesIO(PNG),
    "file": lambda folder: png_file(folder).open("rb"),
    "raw file": lambda _: Dribble(),
    "uint8": lambda _: RGB,
    "uint8, strided": lambda _: np.ascontiguousarray(RGB[:, ::-1])[:, ::-1],
    "uint16": lambda _: RGB.astype(np.uint16) * 257,
    "RGBA": lambda _: np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)]),
    "Pillow": lambda _: photo(),
    "Pillow, a file": lambda _: Image.open(io.BytesIO(PNG)),
    "Pillow, turned by EXIF": _rotated,
}
ENCODED = {"path", "bytes", "bytearray", "memoryview", "BytesIO", "file", "raw file"}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("min_side", [0, 32])
def test_every_source_gives_the_same_picture(kind, min_side, tmp_path):
    image = load_image(SOURCES[kind](tmp_path), min_side=min_side)
    assert image.status is Status.OK
    assert np.array_equal(image.frames[0].rgb, load_image(PNG, min_side=min_side).frames[0].rgb)
    assert (image.width, image.height, image.frame_count) == (96, 64, 1)
    assert image.sha256 == (hashlib.sha256(PNG).hexdigest() if kind in ENCODED else None)
    assert image.format == ("png" if kind in ENCODED else None)


@pytest.mark.parametrize("shape", [(64, 96), (64, 96, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_arrays(shape, dtype):
    gray = RGB[..., 0].astype(dtype) * (257 if dtype is np.uint16 else 1)
    rgb = load_image(gray.reshape(shape)).frames[0].rgb
    assert np.array_equal(rgb, np.repeat(RGB[..., :1], 3, axis=2))


@pytest.mark.parametrize(
    "source",
    [
        *(None, 7, object(), [1, 2], "photo.jpg", "", np.str_("photo.jpg"), io.StringIO("text")),
        *(np.zeros(shape, np.uint8) for shape in ((4, 4, 2), (4, 4, 3, 1), 4, (0, 4, 3))),
        np.zeros((4, 4, 3), np.float32),
        SimpleNamespace(read=lambda _: iter(())),  # an upload whose read() is asynchronous
    ],
)
def test_what_is_no_image_at_all_is_a_mistake_of_the_caller(source):
    with pytest.raises(UsageError):
        load_image(source)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (RGB.astype(np.uint16), "0 to 65535, but the highest is 255"),
        (RGB[..., 0].astype(np.uint16), "the highest is 255"),
        (RGB.astype(np.uint16) * 16, "the highest is 4080"),
        (photo().convert("L").convert("I"), "the highest is"),
        (Image.fromarray(RGB[..., 0].astype(np.uint16) * 16), "the highest is 4080"),
        (Image.fromarray(RGB[..., 0].astype(np.int32) - 500), "the lowest is -"),
        (Image.fromarray(RGB[..., 0].astype(np.int32) * 65536), "the highest is 16711680"),
    ],
    ids=["uint16", "gray", "12 bits", "mode I", "mode I;16", "negative", "24 bits"],
)
def test_values_of_another_range_are_a_mistake_of_the_caller(values, words):
    """They would be scored as black, or as white."""
    with pytest.raises(UsageError, match=words):
        load_image(values)


@pytest.mark.parametrize("position", [0, 1, 100, len(PNG), len(PNG) + 5])
@pytest.mark.parametrize("buffered", [False, True])
def test_a_file_that_was_read_already_is_read_again(position, buffered, tmp_path):
    with png_file(tmp_path).open("rb") if buffered else io.BytesIO(PNG) as file:
        file.seek(position)
        image = load_image(file)
    assert (image.status, image.sha256) == (Status.OK, hashlib.sha256(PNG).hexdigest())


class Stream(io.BytesIO):
    """A file object that cannot be rewound, though it knows where it stands."""

    def seek(self, *_):
        raise OSError("seek of a stream")


def test_a_stream_is_read_from_where_it_stands():
    assert load_image(Stream(PNG)).status is Status.OK
    read, write = os.pipe()
    with os.fdopen(read, "rb") as file:
        os.write(write, PNG)
        os.close(write)
        assert load_image(file).status is Status.OK


@pytest.mark.parametrize("source", [PNG, bytearray(PNG), memoryview(PNG), io.BytesIO(PNG)])
def test_the_byte_limit_holds_for_every_source(source):
    assert load_image(source, limits=Limits(max_bytes=len(PNG) - 1)).reason is Reason.TOO_MANY_BYTES


@pytest.mark.parametrize("source", [PNG, RGB, photo(), jpeg()], ids=["png", "array", "pil", "jpeg"])
def test_the_pixel_limit_holds_for_every_source(source):
    limits = Limits(max_pixels=96 * 64)
    assert load_image(source, limits=limits).status is Status.OK
    limits = Limits(max_pixels=96 * 64 - 1)
    image = load_image(source, limits=limits)
    assert (image.status, image.reason) == (Status.FAILED, Reason.TOO_MANY_PIXELS)


def test_nothing_is_cropped_away():
    rgb = np.zeros((100, 300, 3), np.uint8)
    rgb[:, :20] = 255
    rgb[-20:] = 255
    found = model_input(rgb, 30)
    assert (found[0, 0] == 255).all()
    assert (found[-1, -1] == 255).all()
    assert (found[5, 15] == 0).all()


@pytest.mark.parametrize("key", ["max_bytes", "max_pixels", "max_frames", "max_views"])
@pytest.mark.parametrize("value", [0, -1, None, 1.5, "1"])
def test_a_limit_is_a_number_from_one(key, value):
    with pytest.raises(UsageError, match=f"{key} = "):
        Limits(**{key: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "path",
    ["", "nul\0inside.jpg", "\ud800.jpg", "/dev/null/x.jpg"],
    ids=["empty", "nul", "lone", "dir"],
)
def test_paths_that_name_nothing(path):
    named = MagicMock(spec=os.PathLike)  # pathlib.Path would tidy it up
    named.__fspath__.return_value = path
    image = load_image(named)
    assert (image.status, image.reason, image.sha256) == (Status.FAILED, Reason.NOT_FOUND, None)


def test_a_name_that_becomes_a_fifo_does_not_block(tmp_path, monkeypatch):
    """Between the look and the opening the file may be replaced."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(PNG)
    regular = os.stat(tmp_path / "file")
    monkeypatch.setattr("recognizer.imaging.sources.os.stat", lambda _: regular)
    assert load_image(tmp_path / "pipe").reason is Reason.NOT_A_FILE


def test_reading_takes_memory_for_the_file_not_for_the_limit(tmp_path):
    tracemalloc.start()
    try:
        load_image(png_file(tmp_path))
        assert tracemalloc.get_traced_memory()[1] < Limits().max_bytes // 8
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [192, 256, 320])
@pytest.mark.parametrize("shape", [(960, 639), (1600, 639), (528, 528), (264, 2112)])
def test_no_pixel_can_be_hidden_from_the_model(size, shape):
    """A picture in one row of three, or in one column of five, is no picture to the model."""
    rng = np.random.default_rng(size)
    plain = np.full((*shape, 3), 128, np.uint8)
    for step, axis in ((3, 0), (5, 1)):
        attacked = plain.copy()
        lines = attacked[::step] if axis == 0 else attacked[:, ::step]
        lines[:] = rng.integers(0, 2, (lines.shape[0], lines.shape[1], 1)) * 255
        change = np.abs(model_input(attacked, size).astype(int) - 128).mean()
        assert change < 127 * 1.2 / step  # its share of the pixels, and what noise averages to


@pytest.mark.parametrize("form", ["JPEG", "PNG", "array", "Pillow"])
@pytest.mark.parametrize("turned", [False, True])
def test_a_part_has_the_detail_that_its_image_has(form, turned):
    page = Image.new("RGB", (3000, 1000), (0, 0, 90))
    page.paste(photo(320, 240).resize((1280, 960)), (1700, 20))
    upright = page if not turned else page.transpose(Image.Transpose.ROTATE_270)
    source: object = upright
    if form in {"JPEG", "PNG"}:
        source = encode(page, form, exif=exif(6 if turned else 1))
    elif form == "array":
        source = np.asarray(upright)
    image = load_image(source, min_side=100, parts=True)  # type: ignore[arg-type]
    assert (image.width, image.height) == upright.size
    (view,) = image.views
    expected = (20, 1700, 980, 2980) if turned else (1700, 20, 2980, 980)
    assert view.box == pytest.approx(expected, abs=30)
    box = view.box or (0, 0, 0, 0)
    assert 100 <= min(view.rgb.shape[:2]) < 250
    own, seen = (
        np.asarray(one.resize((20, 20), Image.Resampling.BOX), int)
        for one in (upright.crop(box), Image.fromarray(view.rgb))
    )
    assert np.abs(own - seen).mean() < np.abs(own[:, ::-1] - seen).mean() / 5


def test_a_small_part_is_decoded_again():
    page = Image.new("RGB", (2400, 2400), "white")
    page.paste(photo(640, 480).resize((640, 480)), (100, 1700))
    (view,) = load_image(encode(page, "JPEG"), min_side=200, parts=True).views
    assert min(view.rgb.shape[:2]) >= 200
    assert load_image(encode(page, "JPEG"), min_side=200).views == ()
    assert (image := load_image(PNG, parts=True)).views == image.frames  # a photo has no parts


@pytest.mark.parametrize("kind", ["baseline", "progressive", "gray", "turned"])
@pytest.mark.parametrize(
    ("side", "min_side", "factor"), [(1200, 224, 2), (1200, 128, 4), (440, 224, 1)]
)
def test_a_first_look_takes_a_fraction_that_has_the_pixels(kind, side, min_side, factor):
    """What it sees is the whole, but for what rounding changes."""
    image = photo(side + 3, side)
    if kind == "gray":
        image = image.convert("L")
    data = encode(
        image, "JPEG", progressive=kind == "progressive", exif=exif(6 * (kind == "turned"))
    )
    first, whole = (load_image(data, min_side=min_side, whole=whole) for whole in (False, True))
    assert (first.encoded, whole.encoded) == (data if factor > 1 else None, None)
    assert (first.width, first.height) == (whole.width, whole.height)
    (one,), (other,) = (loaded.frames for loaded in (first, whole))
    assert min_side <= min(one.rgb.shape[:2]) == pytest.approx(min(other.rgb.shape[:2]), abs=1)
    inputs = [model_input(frame.rgb, min_side).astype(int) for frame in (one, other)]
    assert np.abs(inputs[0] - inputs[1]).mean() < 2


def test_what_is_damaged_or_in_far_colors_is_decoded_whole():
    data = encode(photo(1200, 900), "JPEG")
    cut = load_image(data[: len(data) // 2], min_side=100)
    assert (cut.reason, cut.encoded) == (Reason.TRUNCATED, None)


def collages(count):
    """An animation of collages of four photos."""
    page = Image.new("RGB", (808, 608), "white")
    for number in range(4):
        corner = (408 * (number % 2), 308 * (number // 2))
        page.paste(scene(number, (400, 300)), corner)
    pages = [page.copy() for _ in range(count)]
    for number, copy in enumerate(pages):  # so that no encoder merges them
        copy.putpixel((0, 0), (9 * number, 0, 0))
    return encode(pages[0], "WEBP", lossless=True, save_all=True, append_images=pages[1:])


@pytest.mark.parametrize(
    ("count", "most", "frames", "parts"),
    [(1, 16, 1, 4), (3, 16, 3, 12), (4, 16, 4, 12), (4, 3, 3, 0)],
)
def test_views_are_limited_over_all_frames_and_parts(count, most, frames, parts):
    image = load_image(collages(count), min_side=200, parts=True, limits=Limits(max_views=most))
    boxes = [view.box for view in image.views]
    assert (boxes.count(None), len(boxes) - boxes.count(None)) == (frames, parts)
    is_cut = frames + parts < 5 * count
    assert image.reason is (Reason.FRAMES_SKIPPED if is_cut else None)
    assert image.detail == (f"looked at {most} of {5 * count} frames and parts" if is_cut else None)


def test_damage_is_the_reason_also_where_parts_are_left_out():
    data = encode(Image.open(io.BytesIO(collages(1))), "JPEG")
    image = load_image(data[:-300], min_side=200, parts=True, limits=Limits(max_views=2))
    assert (len(image.views), image.reason) == (2, Reason.TRUNCATED)
