"""How many frames an image file holds, and how large they get, without decoding one.

Pillow answers both only by seeking through the file: for GIF it lets a later frame enlarge the
canvas unasked, and for TIFF its search for cycles grows with the square of the number of pages.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

MAX_PAGES = 4096
"""Pages of a TIFF that are counted; and the frames of any animation that are decoded."""

# In all pages of a TIFF: pages may overlap, so the size of the file does not bound them.
_MAX_TAGS = 200_000


class Outline(NamedTuple):
    """The largest canvas of any frame in pixels, and the number of frames."""

    width: int
    height: int
    frames: int


def outline_gif(data: bytes) -> Outline | None:
    """Walk the blocks of a GIF. None where there is no complete logical screen descriptor.

    Source: GIF89a specification, sections 17 to 27. As in all decoders, a frame that reaches
    beyond the logical screen enlarges it.
    """
    if len(data) < 13:
        return None
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position, frames = 13 + _palette_bytes(flags), 0
    while position < len(data):
        block = data[position : position + 1]
        if block == b";":
            break
        if block == b"!":
            position = _past_sub_blocks(data, position + 2)
        elif block == b",":
            if position + 10 > len(data):
                break
            left, top, wide, high, flags = struct.unpack_from("<HHHHB", data, position + 1)
            width, height = max(width, left + wide), max(height, top + high)
            frames += 1
            # After the palette comes one byte, the initial code size.
            position = _past_sub_blocks(data, position + 11 + _palette_bytes(flags))
        else:
            position += 1  # stray bytes between blocks are skipped
    return Outline(width, height, frames)


def _palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _past_sub_blocks(data: bytes, position: int) -> int:
    while position < len(data) and (length := data[position]):
        position += 1 + length
    return position + 1


def count_tiff_pages(data: bytes) -> int:
    """Follow the chain of image file directories, to :data:`MAX_PAGES` + 1 at most.

    Source: TIFF 6.0, section 2; BigTIFF as in libtiff. A chain that ends in a circle or outside
    the file ends there. Directories with more tags than any photo has raise a ValueError.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in {b"+\x00", b"\x00+"}
    count_format, offset_format, tag_bytes = ("Q", "Q", 20) if big else ("H", "I", 12)
    count_bytes = struct.calcsize(order + count_format)
    seen: set[int] = set()
    tags = 0
    position = 8 if big else 4
    try:
        while len(seen) <= MAX_PAGES:
            (page,) = struct.unpack_from(order + offset_format, data, position)
            if page == 0 or page in seen:
                break
            (entries,) = struct.unpack_from(order + count_format, data, page)
            seen.add(page)
            tags += entries
            if tags > _MAX_TAGS:
                raise ValueError(f"more than {_MAX_TAGS} tags")
            position = page + count_bytes + tag_bytes * entries
    except struct.error:  # the chain leaves the file
        pass
    return max(1, len(seen))


class JpegOutline(NamedTuple):
    """What the markers of a JPEG say."""

    scans: int  # up to the maximum + 1
    has_end: bool
    is_unusual: bool  # lossless or hierarchical


def outline_jpeg(data: bytes, maximum: int) -> JpegOutline:
    """Walk the markers of a JPEG, to ``maximum`` + 1 scans at most.

    A few bytes are a whole scan of a progressive JPEG, and a decoder goes through all pixels for
    each: no limit on bytes or pixels bounds the time. Source: ITU-T T.81, annex B.
    """
    scans, position, has_end, is_unusual = 0, 2, False, False
    while scans <= maximum and (match := JPEG_MARKER.search(data, position)):
        marker, position = match.group()[1], match.end()
        if marker == _END_OF_IMAGE:
            has_end = True
            break
        scans += marker == START_OF_SCAN
        is_unusual |= marker in _UNUSUAL_FRAMES
        # A segment's length includes its own two bytes; behind a scan's come the coded pixels.
        position += int.from_bytes(data[position : position + 2], "big")
    return JpegOutline(scans, has_end, is_unusual)


def is_one_scan(data: bytes) -> bool:
    """Whether a JPEG is decoded from one scan: baseline, all components in the first one.

    Then a decoder refuses any further scan, so that nobody needs to look for one in all bytes.
    """
    components, position = 0, 2
    while match := JPEG_MARKER.match(data, position):
        marker, position = match.group()[1], match.end()
        if marker == START_OF_SCAN:
            return components > 0 and data[position + 2 : position + 3] == bytes([components])
        if marker in _BASELINE and position + 8 <= len(data):
            components = data[position + 7]
        position += int.from_bytes(data[position : position + 2], "big")
    return False


# Neither stuffing, fill bytes nor what has no length: the restart markers within a scan, and TEM.
JPEG_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_BASELINE = {0xC0, 0xC1}
_UNUSUAL_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF}
