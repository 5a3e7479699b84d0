"""Whatever a browser shows is decoded: metadata that is broken or hostile is skipped."""

import base64
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from recognizer.imaging import jpeg as jpegs
from recognizer.imaging import load_image
from recognizer.status import Reason, Status
from tests.imaging.corpus import CASES, apng_with, scene
from tests.imaging.test_shown import IN_CHROMIUM, PAGES
from tests.pictures import encoded, picture
from tests.pictures import png_chunk as chunk
from tests.work import Count

PHOTO = picture("red", (200, 150))
PNG, JPEG, GIF = (encoded(PHOTO, name) for name in ("PNG", "JPEG", "GIF"))
LARGE = zlib.compress(bytes(2 << 20))


def damaged_chunk(kind, data):
    return chunk(kind, data)[:-4] + b"\0\0\0\1"


def png(*chunks):
    """A PNG with chunks behind its header."""
    return PNG[:33] + b"".join(chunks) + PNG[33:]


def jpeg(*parts):
    """A JPEG with parts in front of its other segments."""
    return JPEG[:2] + b"".join(parts) + JPEG[2:]


def segment(marker, data):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data


def short(kind, size):
    return f"{kind.decode()} of {size} bytes", png(chunk(kind, bytes(size)))


SHOWN: dict[str, bytes] = {
    "text": png(chunk(b"zTXt", b"Comment\0\0" + LARGE)),
    "international text": png(chunk(b"iTXt", b"Comment\0\1\0\0\0" + LARGE)),
    "profile": png(chunk(b"iCCP", b"icc\0\0" + LARGE)),
    "method of a profile": png(chunk(b"iCCP", b"icc\0\7" + LARGE)),
    "method of a text": png(chunk(b"zTXt", b"Comment\0\7" + LARGE)),
    "checksum of a text": png(damaged_chunk(b"tEXt", b"Comment\0abc")),
    "checksum of an unknown chunk": png(damaged_chunk(b"abCd", b"abc")),
    **dict(short(kind, 0) for kind in (b"gAMA", b"pHYs", b"sRGB", b"iCCP")),
    **dict(short(kind, 1) for kind in (b"tRNS", b"cHRM", b"acTL")),
    "profile without a number": jpeg(segment(0xE2, b"ICC_PROFILE\0")),
    "profile of a part too many": jpeg(segment(0xE2, b"ICC_PROFILE\0\5\2abc")),
    "short JFIF": jpeg(segment(0xE0, b"JFIF\0")),
    "short Photoshop": jpeg(segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed")),
    "short Adobe": jpeg(segment(0xEE, b"Adobe\0")),
    "unknown JFIF": jpeg(segment(0xE0, b"JFIF\0" + bytes(9))),
    "two intervals": jpeg(segment(0xDD, b"\0\1"), segment(0xDD, b"\0\0")),
    "million restart markers": jpeg(b"\xff\xff\xd0" * 1_000_000),
    "restart marker": jpeg(b"\xff\xd0\0\2"),
    "marker without a length": jpeg(b"\xff\x01"),
    "padding": jpeg(b"\xff" * 100_000),
    "padding of tables": JPEG.replace(b"\xff\xc4", b"abc\xff\xc4").replace(
        b"\xff\xdb", b"\xff\0\xff\xdb"
    ),
    "long Adobe": jpeg(segment(0xEE, b"Adobe\0\x64\0\0\0\0\1" + bytes(500)), b"abc"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_what_a_browser_skips_does_not_keep_pixels_from_being_scored(name):
    found = load_image(SHOWN[name], min_side=48)
    assert found.status is not Status.FAILED
    (frame,) = found.frames
    wanted = np.asarray(PHOTO.resize(frame.rgb.shape[1::-1]))
    assert np.abs(frame.rgb.astype(int) - wanted).mean() < 8


def test_metadata_that_changes_the_picture_is_kept():
    comment = damaged_chunk(b"tEXt", b"a\0b")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(PHOTO, "PNG", exif=exif)
    for data in (
        jpeg(segment(0xFE, b"") * 3000, segment(0xE1, b"Exif\0\0" + exif.tobytes()[6:])),
        turned[:33] + comment + turned[33:],
    ):
        found = load_image(data, min_side=48)
        assert (found.width, found.height) == (150, 200)
    frames = [picture(color, (64, 48)) for color in ("blue", "red")]
    animation = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert len(load_image(animation[:33] + comment + animation[33:], min_side=48).frames) == 2


@pytest.mark.parametrize("body", [b"", b"\0\0\0\1\0\0\0\0"])
@pytest.mark.parametrize(
    "kind", ["zTXt", "iCCP", "gAMA", "cHRM", "sRGB", "pHYs", "tRNS", "PLTE", "acTL", "IHDR"]
)
def test_a_chunk_between_frames_ends_no_animation(kind, body):
    """Chromium shows the frames behind it; Pillow gives up."""
    image = load_image(apng_with(chunk(kind.encode(), body)))
    assert (image.reason, image.frame_count) == (Reason.FRAMES_SKIPPED, 3)
    assert np.array_equal(image.frames[2].rgb, np.asarray(scene()))


@pytest.mark.parametrize("body", [b"", bytes(200)])
@pytest.mark.parametrize("kind", [0xFE, 0xDD, 0xE1, 0xE2, 0xC4, b"tEXt", b"IDAT"])
def test_a_header_without_end_is_refused_in_few_steps(kind, body, monkeypatch):
    steps = Count()
    pattern = type("Pattern", (), {"search": staticmethod(steps.wrap(jpegs._MARKER.search))})
    monkeypatch.setattr(jpegs, "_MARKER", pattern)
    part = segment(kind, body) if isinstance(kind, int) else chunk(kind, body)
    found = load_image((jpeg if isinstance(kind, int) else png)(part * 50_000), min_side=48)
    assert (found.status, found.reason) == (Status.FAILED, Reason.UNSUPPORTED_FORMAT)
    assert steps.number <= jpegs.MAX_SEGMENTS


def test_padding_between_scans_is_read_at_once(monkeypatch):
    """In parts, libjpeg would begin again with each: 63 MB took 33 s."""
    reads = Count()
    monkeypatch.setattr(JpegImageFile, "load_read", reads.wrap(JpegImageFile.load_read))
    whole = CASES["jpeg 3x1 progressive"]()
    place = whole.rindex(b"\xff\xda")
    found = load_image(whole[:place] + b"\xff" * 1_000_000 + whole[place:], min_side=48)
    assert (found.status, reads.number) == (Status.OK, 1)


def test_whatever_chromium_shows_is_scored(browser):
    """Also if a byte of its header is another one."""
    cases = dict(SHOWN)
    for kind, data in {"jpeg": JPEG, "gif": GIF}.items():
        for place in range(12, 300, 7):
            cases[f"{kind} {place}"] = (
                data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
            )
    hidden = []
    page = browser.new_page()
    for name, data in cases.items():
        if load_image(data, min_side=48).status is Status.FAILED:
            for shown in page.evaluate(IN_CHROMIUM, [base64.b64encode(data).decode(), ""]):
                pages = zip(*(shown.get(page, shown["white"]) for page in PAGES), strict=False)
                is_opaque = np.mean([white == black for white, black in pages]) > 0.5
                hidden += [name] if is_opaque else []
    assert hidden == []
