"""Frames of a GIF (GIF89a, sections 17 to 27), put together as browsers do.

Pillow shows the background color where a frame is cleared or fills no more than a part, and counts
frames by seeking. Here, as in Chromium, nothing is there, and what lies behind shows.
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from PIL import Image

MAX_FRAMES = 4096  # of any animation that are decoded
CLEARED = 2  # disposal method: before the next frame nothing is there
_NO_CONTROL = bytes.fromhex("21f9040000000000")

Part: TypeAlias = tuple[Image.Image, tuple[int, int, int, int], bool, int, int]
"""A frame (RGBA), its box, whether it is laid over what is there, disposal, and milliseconds."""


@dataclass(slots=True)
class GifOutline:
    """``largest`` is the size of a canvas that holds all ``count`` frames."""

    screen: tuple[int, int]
    largest: tuple[int, int]
    count: int = 0
    frames: list[tuple[bytes, int, int]] = field(default_factory=list)  # its control, start, end

    def box(self, data: bytes, index: int) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom of a frame."""
        left, top, width, height = struct.unpack_from("<4H", data, self.frames[index][1] + 1)
        return left, top, left + width, top + height


def outline_gif(data: bytes) -> GifOutline | None:
    """Find the frames of a GIF; return None if the logical screen descriptor is cut off."""
    if len(data) < 13:
        return None
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    outline = GifOutline((width, height), (width, height))
    position, control = 13 + _palette_bytes(flags), _NO_CONTROL
    while position < len(data) and (block := data[position : position + 1]) != b";":
        start = position
        if block == b"!":
            position = _past_sub_blocks(data, position + 2)
            if data.startswith(b"!\xf9\4", start):
                control = data[start : start + 8]
        elif block == b",":
            if position + 10 > len(data):
                break
            # After the palette comes one byte, the initial code size.
            flags = data[position + 9]
            position = _past_sub_blocks(data, position + 11 + _palette_bytes(flags))
            if outline.count < MAX_FRAMES:
                outline.frames.append((control, start, position))
            left, top, wide, high = struct.unpack_from("<4H", data, start + 1)
            reach = (max(outline.largest[0], left + wide), max(outline.largest[1], top + high))
            outline.largest, control = reach, _NO_CONTROL
            outline.count += 1
            if outline.count == 1:  # in all decoders it enlarges the logical screen
                outline.screen = reach
        else:
            position += 1  # stray bytes between blocks are skipped
    return outline


def gif_parts(data: bytes, outline: GifOutline) -> Iterator[Part]:
    """Yield the frames by themselves."""
    from PIL.GifImagePlugin import GifImageFile  # noqa: PLC0415 - loaded with its first file

    colors = data[13 : 13 + _palette_bytes(data[10])]
    for index, (control, start, end) in enumerate(outline.frames):
        box = outline.box(data, index)
        size = struct.pack("<HH", box[2] - box[0], box[3] - box[1])
        parts = (data[:6], size, data[10:13], colors, control, b",\0\0\0\0", data[start + 5 : end])
        frame = GifImageFile(io.BytesIO(b"".join((*parts, b";")))).convert("RGBA")
        yield frame, box, True, control[3] >> 2 & 7, 10 * int.from_bytes(control[4:6], "little")


def _palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _past_sub_blocks(data: bytes, position: int) -> int:
    while position < len(data) and (length := data[position]):
        position += 1 + length
    return position + 1
