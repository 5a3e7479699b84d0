"""The chunks of a PNG (W3C, PNG third edition, section 5); a PNG without those that change nothing.

Browsers skip a comment that unpacks to gigabytes, a checksum that is wrong or a profile that is cut
off, and show the photo; Pillow gives up, or takes minutes.
"""

import struct
import zlib
from collections.abc import Iterator, Set

from recognizer.imaging.sources import Refused
from recognizer.status import Reason

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 20_000  # that Pillow has to go through
# Depth and kind of color with which Pillow makes transparent what is to be.
_WITH_KEY = {b"\1\0", b"\x08\0", b"\x08\2", *(bytes([depth, 3]) for depth in (1, 2, 4, 8))}
_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_SHOWN = _CRITICAL | {b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT"}  # what changes pixels
PNG_PARTS = (_SHOWN, _CRITICAL)  # what is kept of a PNG, the more of it first


def png_chunks(data: bytes) -> dict[bytes, bytes]:
    """Return the sound chunks in front of the pixels, of each kind the first.

    Raise a Refused if there are so many in all that Pillow would take long, or if what is
    transparent, or a frame, depends on who reads it.
    """
    chunks: dict[bytes, bytes] = {}
    has_pixels = False
    for kind, position, end in _walk(data):
        has_pixels |= kind == b"IDAT"
        body, crc = memoryview(data)[position + 4 : end - 4], data[end - 4 : end]
        if not has_pixels and zlib.crc32(body) == int.from_bytes(crc, "big"):
            is_twice = kind in chunks and kind in {b"acTL", b"tRNS"}
            value = data[position + 8 : end - 4]
            is_long = kind == b"tRNS" and 3 * len(value) > len(chunks.get(b"PLTE", bytes(18)))
            if is_twice or is_long or (kind == b"PLTE" and b"tRNS" in chunks):
                raise Refused(Reason.UNSUPPORTED_FORMAT, "a chunk twice, too long or out of place")
            if kind == b"tRNS" and chunks.get(b"IHDR", b"")[8:10] not in _WITH_KEY:
                raise Refused(Reason.UNSUPPORTED_FORMAT, "a transparent color not of 8 bits")
            chunks.setdefault(kind, value)
    return chunks


def bare_png(data: bytes, kept: Set[bytes]) -> bytes:
    """Return a PNG of the chunks to be ``kept``, with its pixels in one."""
    chunks, pixels, place = [_SIGNATURE], list[bytes](), 0
    for kind, position, end in _walk(data):
        if kind == b"IDAT":
            place = place or len(chunks)
            pixels.append(data[position + 8 : end - 4])
        elif kind in kept:
            chunks.append(data[position:end])
    if place:
        body = b"IDAT" + b"".join(pixels)
        size, check = struct.pack(">I", len(body) - 4), struct.pack(">I", zlib.crc32(body))
        chunks.insert(place, size + body + check)
    return b"".join(chunks)


def _walk(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    position, kind, count = len(_SIGNATURE), b"", 0
    while position + 12 <= len(data) and kind != b"IEND":
        size, kind = struct.unpack_from(">I4s", data, position)
        yield kind, position, position + 12 + size
        position += 12 + size
        count += 1
        if count > MAX_CHUNKS:
            raise Refused(Reason.UNSUPPORTED_FORMAT, f"a PNG of more than {MAX_CHUNKS} chunks")
