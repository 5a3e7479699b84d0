"""The chunks of a PNG (W3C, PNG third edition, section 5); a PNG without those that change nothing.

Browsers skip a comment that unpacks to gigabytes, a checksum that is wrong or a profile that is cut
off, and show the photo; Pillow gives up, or takes minutes.
"""

import re
import struct
import zlib
from collections.abc import Set

from recognizer.imaging.sources import Refused
from recognizer.status import Reason

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS = 20_000  # that Pillow has to go through
_MAX_STEPS = 1_000_000  # half a second; of a file of more the end is left out
_EMPTY = re.compile(rb"(?s)(?:\0{4}(?!IEND)[A-Za-z]{4}.{4})+")  # chunks without data

_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_SHOWN = _CRITICAL | {b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT"}  # what changes pixels
PNG_PARTS = (_SHOWN, _CRITICAL)  # what is kept of a PNG, the more of it first


def png_chunks(data: bytes) -> dict[bytes, bytes]:
    """Return the chunks in front of the pixels, of each kind the first.

    Raise a Refused if there are so many chunks in all that Pillow would take long.
    """
    position, kind, count = len(_SIGNATURE), b"", 0
    chunks: dict[bytes, bytes] = {}
    while position + 12 <= len(data) and kind != b"IEND":
        kind, end = _chunk(data, position)
        if b"IDAT" not in chunks:
            chunks.setdefault(kind, b"" if kind == b"IDAT" else data[position + 8 : end - 4])
        position = end
        count += 1
        if count > _MAX_CHUNKS:
            raise Refused(Reason.CORRUPT_HEADER, f"more than {_MAX_CHUNKS} chunks")
    return chunks


def bare_png(data: bytes, kept: Set[bytes]) -> bytes:
    """Return a PNG of the chunks to be ``kept``, with its pixels in one."""
    chunks, pixels, place = [_SIGNATURE], list[bytes](), 0
    position, kind = len(_SIGNATURE), b""
    for _ in range(_MAX_STEPS):
        if data.startswith(b"\0\0\0\0", position) and (run := _EMPTY.match(data, position)):
            position = run.end()
        if position + 12 > len(data) or kind == b"IEND":
            break
        kind, end = _chunk(data, position)
        if kind == b"IDAT":
            place = place or len(chunks)
            pixels.append(data[position + 8 : end - 4])
        elif kind in kept:
            chunks.append(data[position:end])
        position = end
    if place:
        body = b"IDAT" + b"".join(pixels)
        size, check = struct.pack(">I", len(body) - 4), struct.pack(">I", zlib.crc32(body))
        chunks.insert(place, size + body + check)
    return b"".join(chunks)


def _chunk(data: bytes, position: int) -> tuple[bytes, int]:
    size = int.from_bytes(data[position : position + 4], "big")
    return data[position + 4 : position + 8], position + 12 + size
