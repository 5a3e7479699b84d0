from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.imaging import sniff
from recognizer.imaging.formats import OPENERS, canvas_size
from recognizer.imaging.frames import MAX_PAGES, count_tiff_pages, outline_gif, outline_jpeg
from tests.hostile import animation, encode, gif, gif_frame, jpeg, many_scans, photo, tiff

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
    "psd": b"8BPS",
    "svg": b"\xef\xbb\xbf\n<?xml version='1.0'?><!-- a long comment --><SVG>",
    None: b"plain words",
}


@pytest.mark.parametrize("name", MAGICS)
def test_formats_are_told_by_their_magic_bytes(name: str | None) -> None:
    assert sniff(MAGICS[name]) == name
    assert sniff(MAGICS[name] + bytes(400)) == name


@pytest.mark.parametrize("name", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"])
def test_what_pillow_writes_is_known(name: str) -> None:
    data = encode(photo(), name)
    assert sniff(data[:512]) == name.lower()
    assert name.lower() in OPENERS


@pytest.mark.parametrize(
    "text", [b"BMX bikes and other things", b"<!-- page --><html><svg>", b"RIFF"]
)
def test_words_that_look_like_magic(text: bytes) -> None:
    assert sniff(text) is None


def test_a_brand_outside_its_box_does_not_count() -> None:
    assert sniff(b"\0\0\0\x10ftypisom\0\0\0\0heicavif") is None


@given(st.binary(max_size=600))
def test_sniff_never_raises(head: bytes) -> None:
    name = sniff(head)
    assert name is None or name == name.lower()


@given(st.sampled_from(sorted(filter(None, MAGICS))), st.binary(max_size=300))
def test_the_walkers_never_raise(name: str, rest: bytes) -> None:
    data = MAGICS[name] + rest
    canvas_size(data, name)
    outline_gif(data)
    outline_jpeg(data, 10)
    count_tiff_pages(data)


def test_gif_outline() -> None:
    assert outline_gif(animation("GIF", 5)) == (48, 32, 5)
    grown = gif((10, 10), gif_frame(), b"!\xfe\x03abc\0", gif_frame(20, 30))
    assert outline_gif(grown) == (20, 30, 2)
    assert outline_gif(b"GIF89a") is None


def test_tiff_pages() -> None:
    first, *rest = (photo(32, 32), photo(32, 24), photo(16, 16))
    data = encode(first, "TIFF", save_all=True, append_images=rest)
    assert count_tiff_pages(data) == 3
    assert count_tiff_pages(encode(first, "TIFF", big_tiff=True)) == 1
    assert MAX_PAGES > 1000


def test_tiff_pages_that_overlap() -> None:
    """Directories that share their bytes would take minutes to parse: too many tags in all."""
    import numpy as np  # noqa: PLC0415

    data = bytearray(tiff(np.zeros((16, 16, 3), np.uint8)))
    base = len(data)
    data[8 + 2 + 132 : 8 + 2 + 136] = base.to_bytes(4, "little")
    # Each page claims 60 000 tags; the pages begin four bytes after each other.
    size = 2 + 60_000 * 12 + 4
    block = bytearray(b"\x60\xea" * ((size + 100) // 2))
    for i in range(20):
        place = 4 * i + size - 4
        block[place : place + 4] = (base + 4 * i + 4).to_bytes(4, "little")
    with pytest.raises(ValueError, match="tags"):
        count_tiff_pages(bytes(data + block))


def test_jpeg_outline() -> None:
    assert outline_jpeg(jpeg(), 100) == (1, True)
    scans, ended = outline_jpeg(jpeg(progressive=True), 100)
    assert 5 < scans < 30
    assert ended
    assert outline_jpeg(jpeg()[:-2], 100) == (1, False)
    assert outline_jpeg(many_scans(), 100)[0] == 101
    # What follows the end of image (the film of a motion photo) is not counted.
    assert outline_jpeg(jpeg() + b"\xff\xda\0\2" * 500, 100) == (1, True)
    # Nor is a thumbnail inside EXIF.
    assert outline_jpeg(jpeg(exif=b"Exif\0\0" + b"\xff\xda\0\2" * 500), 100) == (1, True)
