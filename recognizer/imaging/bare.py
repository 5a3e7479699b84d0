"""PNGs without their metadata, so that nothing in it keeps the pixels from being scored; and icons.

Browsers skip a comment that unpacks to gigabytes, a checksum that is wrong or a profile that is cut
off, and show the photo; Pillow gives up, or takes minutes.
"""

import re
import struct
import zlib
from collections.abc import Set
from functools import cache

from recognizer.imaging.sources import Refused
from recognizer.status import Reason

_MAX_CHUNKS = 20_000  # that Pillow has to go through
_MAX_STEPS = 1_000_000  # a second; of a file of more the end is left out
_SHORT = 64  # bytes of a chunk that is passed together with its neighbours

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_PNG_SHOWN = _PNG_CRITICAL | {b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT"}  # what changes pixels
PNG_PARTS = (_PNG_SHOWN, _PNG_CRITICAL)  # what is kept of a PNG, the more of it first


@cache
def _patterns() -> tuple[re.Pattern[bytes], ...]:
    """Return patterns of short chunks: many to leave out, many with pixels, and one's pixels."""
    payloads = [(size, rb"\x%02x" % size) for size in range(_SHORT)]
    return (
        re.compile(
            rb"(?s)(?:(?!.{4}(?:%b))\0\0\0(?:%b))++"
            % (
                b"|".join(sorted(_PNG_SHOWN)),
                b"|".join(rb"%b.{%d}" % (code, size + 8) for size, code in payloads),
            )
        ),
        re.compile(
            rb"(?s)(?:\0\0\0(?:%b))++"
            % b"|".join(rb"%bIDAT.{%d}" % (code, size + 4) for size, code in payloads)
        ),
        re.compile(
            rb"(?s)\0\0\0.IDAT(%b)...."
            % b"|".join(rb"(?<=%bIDAT).{%d}" % (code, size) for size, code in payloads)
        ),
    )


def check_chunks(data: bytes) -> None:
    """Raise a Refused if the chunks of a PNG take Pillow longer than those of any photo."""
    position, kind, count = len(_PNG_SIGNATURE), b"", 0
    while position + 12 <= len(data) and kind != b"IEND":
        kind, position = _png_chunk(data, position)
        count += 1
        if count > _MAX_CHUNKS:
            raise Refused(Reason.CORRUPT_HEADER, f"more than {_MAX_CHUNKS} chunks")


def bare_png(data: bytes, kept: Set[bytes]) -> bytes:
    """Return a PNG of the chunks to be ``kept``, with its pixels in one."""
    found, pixels, place = [_PNG_SIGNATURE], list[bytes](), 0
    position, kind = len(_PNG_SIGNATURE), b""
    left_out, with_pixels, payload = _patterns()
    for _ in range(_MAX_STEPS):
        if skipped := left_out.match(data, position):
            position = skipped.end()
        if run := with_pixels.match(data, position):
            place = place or len(found)
            pixels += payload.findall(data, position, run.end())
            position = run.end()
        if position + 12 > len(data) or kind == b"IEND":
            break
        kind, end = _png_chunk(data, position)
        if kind == b"IDAT":
            place = place or len(found)
            pixels.append(data[position + 8 : end - 4])
        elif kind in kept:
            found.append(data[position:end])
        position = end
    if place:
        body = b"IDAT" + b"".join(pixels)
        found.insert(place, struct.pack(">I", len(body) - 4) + body)
        found.insert(place + 1, struct.pack(">I", zlib.crc32(body)))
    return b"".join(found)


def _png_chunk(data: bytes, position: int) -> tuple[bytes, int]:
    size = int.from_bytes(data[position : position + 4], "big")
    return data[position + 4 : position + 8], position + 12 + size


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
