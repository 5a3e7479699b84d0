from __future__ import annotations

import pytest

from recognizer.imaging.frames import (
    count_tiff_pages,
    is_one_scan,
    outline_jpeg,
)
from tests.hostile import jpeg, many_scans, tiff
from tests.pictures import lossless_jpeg


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
    assert outline_jpeg(jpeg(), 100)[:2] == (1, True)
    scans, ended, _ = outline_jpeg(jpeg(progressive=True), 100)
    assert 5 < scans < 30
    assert ended
    assert outline_jpeg(jpeg()[:-2], 100)[:2] == (1, False)
    assert outline_jpeg(many_scans(), 100)[0] == 101
    # What follows the end of image (the film of a motion photo) is not counted.
    assert outline_jpeg(jpeg() + b"\xff\xda\0\2" * 500, 100)[:2] == (1, True)
    # Nor is a thumbnail inside EXIF.
    assert outline_jpeg(jpeg(exif=b"Exif\0\0" + b"\xff\xda\0\2" * 500), 100)[:2] == (1, True)


def test_only_a_whole_baseline_scan_needs_no_search_for_others() -> None:
    assert is_one_scan(jpeg())
    assert is_one_scan(jpeg(exif=b"Exif\0\0" + b"\xff\xda\0\2" * 500))
    for other in (jpeg(progressive=True), many_scans(), b"", b"\xff\xd8", jpeg()[:200]):
        assert not is_one_scan(other)
    begin = jpeg().index(b"\xff\xda")
    alone = jpeg()[:begin] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + jpeg()[begin + 14 :]
    assert not is_one_scan(alone), "one component of three"


def test_a_lossless_jpeg_is_known_by_its_frame() -> None:
    assert not outline_jpeg(jpeg(), 100).is_unusual
    assert not outline_jpeg(jpeg(progressive=True), 100).is_unusual
    assert outline_jpeg(lossless_jpeg(8, 8), 100).is_unusual
    assert not is_one_scan(lossless_jpeg(8, 8))
    assert not is_one_scan(lossless_jpeg(8, 8, b"\xff\x01\0\x20"))
    # A marker without a length does not hide it, nor does a sound frame before it.
    assert outline_jpeg(lossless_jpeg(8, 8, b"\xff\x01\0\x20"), 100).is_unusual
    frame = b"\xff\xc0\0\x0b\x08\0\x08\0\x08\1\1\x11\0"
    assert outline_jpeg(lossless_jpeg(8, 8, frame), 100).is_unusual
