"""Image files without their metadata, so that nothing in it keeps the pixels from being scored.

Browsers skip a comment that unpacks to gigabytes, a checksum that is wrong or a profile that is cut
off, and show the photo; Pillow gives up. And its parsers go through a header byte by byte: padding
of 64 MB costs half a minute.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Set
from itertools import groupby
from typing import Any

from recognizer.imaging.formats import JPEG_MARKER, START_OF_SCAN
from recognizer.imaging.sources import Refused
from recognizer.status import Reason

_MAX_PARTS = 20_000  # chunks or segments that Pillow has to go through
_MAX_PADDING = 4096  # bytes between segments
_MAX_WALKED = 1_000_000  # parts, in a second or so; a file of more is given up
_SHORT = 64  # bytes of a part that is skipped together with its neighbours

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_PNG_SHOWN = _PNG_CRITICAL | {b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT"}
"""What changes the picture: transparency, the orientation, and the frames of an animation."""

# Many parts that change nothing, in one step: a part is only twelve bytes, or four of a JPEG.
_PNG_SKIPPED = re.compile(
    rb"(?s)(?:(?!.{4}(?:%s))\0\0\0(?:%s))++"
    % (
        b"|".join(sorted(_PNG_SHOWN)),
        b"|".join(rb"\x%02x.{%d}" % (size, size + 8) for size in range(_SHORT)),
    )
)

_START = 0xD8
_JPEG_METADATA = frozenset({_START, 0xDC, *range(0xE0, 0xF0), 0xFE})  # and a second start
_HUFFMAN, _QUANTIZATION, _RESTART = 0xC4, 0xDB, 0xDD
_JPEG_SHOWN = ((b"\xff\xe0", b"JFIF\0", 16), (b"\xff\xee", b"Adobe", 14))
"""Segments that say what the colours are: a shorter one says nothing."""

_JPEG_SKIPPED = re.compile(
    rb"(?s)(?:(?!..(?:..JFIF\0|..Exif\0|..Adobe))\xff[\xdc\xe0-\xef\xfe]\0(?:%s))++"
    % b"|".join(rb"\x%02x.{%d}" % (size, size - 2) for size in range(2, _SHORT))
)


def check_header(data: bytes, name: str) -> None:
    """Raise a Refused if the header of a PNG or JPEG takes a parser longer than any photo's."""
    parts: Iterator[Any] = iter(())
    if name == "png":
        parts = _png_chunks(data)
    elif name == "jpeg":
        parts = _jpeg_segments(data, _MAX_PADDING)
    if any(number == _MAX_PARTS for number, _ in enumerate(parts)):
        raise Refused(Reason.CORRUPT_HEADER, f"more than {_MAX_PARTS} chunks or segments")


def without_metadata(data: bytes, name: str) -> Iterator[bytes]:
    """Yield a PNG or JPEG without what does not change its picture, then with less."""
    try:
        if name == "png":
            yield _bare_png(data, _PNG_SHOWN)
            yield _bare_png(data, _PNG_CRITICAL)
        elif name == "jpeg":
            yield _bare_jpeg(data, keep_exif=True)
            yield _bare_jpeg(data, keep_exif=False)
    except OverflowError:  # more parts than anybody waits for
        return


def _bare_png(data: bytes, kept: Set[bytes]) -> bytes:
    found = [_PNG_SIGNATURE]
    chunks = (chunk for chunk in _bounded(_png_chunks(data, is_bare=True)) if chunk[0] in kept)
    for kind, group in groupby(chunks, key=lambda chunk: chunk[0]):
        if kind != b"IDAT":
            found += [data[begin:end] for _, begin, end in group]
            continue
        pixels = b"".join(data[begin + 8 : end - 4] for _, begin, end in group)
        found += [struct.pack(">I", len(pixels)), kind, pixels]
        found.append(struct.pack(">I", zlib.crc32(pixels, zlib.crc32(kind))))
    return b"".join(found)


def _png_chunks(data: bytes, *, is_bare: bool = False) -> Iterator[tuple[bytes, int, int]]:
    position, kind = len(_PNG_SIGNATURE), b""
    while position + 12 <= len(data) and kind != b"IEND":
        if is_bare and (skipped := _PNG_SKIPPED.match(data, position)):
            position = skipped.end()
        size = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        yield kind, position, position + 12 + size
        position += 12 + size


def _bare_jpeg(data: bytes, *, keep_exif: bool) -> bytes:
    found: dict[object, bytes] = {}  # of several tables of one number the last one counts
    shown = (*_JPEG_SHOWN, (b"\xff\xe1", b"Exif\0", 10)) if keep_exif else _JPEG_SHOWN
    for marker, begin, end in _bounded(_jpeg_segments(data)):
        if marker in _JPEG_METADATA and not any(
            data.startswith(start, begin)
            and data.startswith(label, begin + 4)
            and end - begin >= size
            for start, label, size in shown
        ):
            continue
        for name, segment in _jpeg_tables(marker, data[begin:end]):
            found.pop(name, None)
            found[name or begin] = segment
    return data[:2] + b"".join(found.values())


def _jpeg_tables(marker: int, segment: bytes) -> Iterator[tuple[object, bytes]]:
    """Yield the tables of a segment, each as a segment with its name; or the segment, and None."""
    if marker not in {_HUFFMAN, _QUANTIZATION}:
        yield (marker,) if marker == _RESTART else None, segment
        return
    position = 4
    while position < len(segment):
        size = 129 if segment[position] >> 4 else 65
        if marker == _HUFFMAN:
            size = 17 + sum(segment[position + 1 : position + 17])
        table = segment[position : position + size]
        yield (marker, table[0]), segment[:2] + struct.pack(">H", 2 + len(table)) + table
        position += size


def _jpeg_segments(data: bytes, max_padding: int | None = None) -> Iterator[tuple[int, int, int]]:
    """Yield marker, begin and end of each segment; the last one is the first scan with the rest.

    Without a limit on the padding between them, short ones of metadata may be left out.
    """
    position = 2
    while True:
        end = len(data) if max_padding is None else position + max_padding
        if max_padding is None and (skipped := _JPEG_SKIPPED.match(data, position)):
            position = skipped.end()
        if (match := JPEG_MARKER.search(data, position, end)) is None:
            break
        marker = data[match.end() - 1]
        if marker == START_OF_SCAN:
            yield marker, match.start(), len(data)
            return
        size = int.from_bytes(data[match.end() : match.end() + 2], "big")
        position = match.end() + (0 if marker == _START else size)
        yield marker, match.start(), position
    if max_padding is not None and position + max_padding < len(data):
        raise Refused(Reason.CORRUPT_HEADER, f"more than {max_padding} bytes of padding")


def _bounded(parts: Iterator[tuple[Any, int, int]]) -> Iterator[tuple[Any, int, int]]:
    for number, part in enumerate(parts):
        if number == _MAX_WALKED:
            raise OverflowError
        yield part


def image_of_icon(data: bytes) -> bytes:
    """Return the largest image of an icon or cursor, a PNG or a BMP."""
    count = int.from_bytes(data[4:6], "little")
    entries = [data[start : start + 16] for start in range(6, 6 + 16 * count, 16)]
    entries = [entry for entry in entries if len(entry) == 16]
    if not entries:
        raise Refused(Reason.TRUNCATED, "an icon without an image")
    entry = max(entries, key=lambda e: ((e[0] or 256) * (e[1] or 256), e[6]))
    size, offset = struct.unpack_from("<II", entry, 8)
    image = data[offset : offset + size]
    if image.startswith(_PNG_SIGNATURE):
        return image
    if len(image) < 40:
        raise Refused(Reason.TRUNCATED, "an icon that ends within its image")
    header, _, height, _, bits = struct.unpack_from("<IiiHH", image)
    (colors,) = struct.unpack_from("<I", image, 32)
    palette = 4 * (colors or 1 << bits) if bits <= 8 else 0
    # The mask is below the picture, and counts as one more of its height.
    bitmap = image[:8] + struct.pack("<i", height // 2) + image[12:]
    begin = 14 + min(header, 1 << 16) + palette
    return struct.pack("<2sIII", b"BM", 14 + len(bitmap), 0, begin) + bitmap
