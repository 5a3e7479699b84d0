from __future__ import annotations

import pytest

from recognizer.imaging.formats import sniff

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


@pytest.mark.parametrize(
    "text", [b"BMX bikes and other things", b"<!-- page --><html><svg>", b"RIFF"]
)
def test_words_that_look_like_magic(text: bytes) -> None:
    assert sniff(text) is None
