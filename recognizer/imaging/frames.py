"""Frames of animations: those of a GIF put together as browsers do, and which are looked at.

They are those that a viewer sees longest, or sees once. Of a GIF (GIF89a, sections 17 to 27) Pillow
shows the background color where a frame is cleared or fills no more than a part, and counts frames
by seeking. Here, as in Chromium, nothing is there, and what lies behind shows.
"""

import io
import itertools
import math
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recognizer.imaging.pixels import narrow, renderings

MAX_FRAMES = 4096  # of any animation that are decoded
CLEARED = 2  # disposal method: before the next frame nothing is there
_NO_CONTROL = bytes.fromhex("21f9040000000000")

Part: TypeAlias = tuple[Image.Image, tuple[int, int, int, int], bool, int, int]
"""A frame (RGBA), its box, whether it is laid over what is there, disposal, and milliseconds."""
_SKETCH = (32, 32)  # pixels; at this size frames are compared
_TOO_SHORT, _INSTEAD = 10, 100  # milliseconds; so browsers show frames that say less
_RESTORED = (3, 4)  # disposal methods of GIF: before the next frame, as before this one

Render = Callable[[Image.Image], list[NDArray[np.uint8]]]


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


def canvases(data: bytes, image: Image.Image, name: str, count: int) -> Iterator[Image.Image]:
    """Yield what is seen of each of the first ``count`` frames, valid until the next."""
    outline = outline_gif(data) if name == "gif" else None
    if outline and (count > 1 or outline.box(data, 0) != (0, 0, *image.size)):
        yield from itertools.islice(_composed(outline.screen, gif_parts(data, outline)), count)
        return
    if name == "png" and count > 1:
        mode = "LA" if image.mode in {"1", "L", "LA", "I;16"} else "RGBA"
        yield from (one.convert(mode) for one in _composed(image.size, _png_parts(image, count)))
        return
    primary = image.tell()  # of a HEIC the one that viewers show; it changes places with the first
    yield image
    for index in range(1, count):
        image.seek(0 if index == primary else index)
        yield image


def _composed(size: tuple[int, int], parts: Iterable[Part]) -> Iterator[Image.Image]:
    # The canvas after each part, as browsers put it together: where nothing is, it is transparent.
    canvas = Image.new("RGBA", size)
    for image, box, is_over, disposal, duration in parts:
        before = canvas.copy() if disposal in _RESTORED else None
        if is_over:
            canvas.alpha_composite(image, box[:2])
        else:
            canvas.paste(image, box[:2])
        canvas.info["duration"] = duration
        yield canvas
        if disposal == CLEARED:
            canvas.paste((0, 0, 0, 0), box)
        canvas = before or canvas


def _png_parts(image: Any, count: int) -> Iterator[Part]:
    # Pillow weighs transparency twice, and shows black where there is nothing.
    for index in range(count):
        image.seek(index)
        image.blend_op = 0  # so that the frame alone is there
        info = image.info
        box = info.get("bbox") or (0, 0, *image.size)
        is_alone = index == 0 and info.get("default_image")  # it is not a frame of the animation
        disposal = CLEARED if is_alone else 1 + (info.get("disposal") or 0)
        frame = narrow(image.crop(box)).convert("RGBA")
        yield frame, box, info.get("blend") == 1, disposal, info.get("duration") or 0


class Chosen:
    """At most ``most`` frames of ``count``, in order, with what viewers show of each."""

    def __init__(self, count: int, most: int) -> None:
        self._count = count
        self._most = most
        self.ways: dict[int, list[NDArray[np.uint8]]] = {}
        self._sketches: dict[int, NDArray[np.uint8]] = {}
        self._durations: dict[int, float] = {}

    def offer(self, index: int, image: Image.Image, render: Render) -> None:
        """Take the next frame, in place of another if there are enough."""
        self.ways[index] = []
        if self._count > 1:
            small = image.resize(_SKETCH, Image.Resampling.BOX, reducing_gap=1.0)
            self._sketches[index] = renderings(small, min(_SKETCH))[0]
            # Of an animation that does not begin again, the last frame stays.
            is_last = index == self._count - 1
            shown = image.info.get("duration") or 0
            shown = shown if shown > _TOO_SHORT else _INSTEAD
            self._durations[index] = math.inf if is_last else shown
        if len(self.ways) > self._most:
            self._drop_one()
        if index in self.ways:
            self.ways[index] = render(image)
        while len(self.ways) > 1 and sum(map(len, self.ways.values())) > 2 * self._most:
            self._drop_one()

    def _drop_one(self) -> None:
        # The one that is most like another, but neither the first nor one of those shown longest.
        longest = sorted((self._durations[index] for index in self.ways), reverse=True)
        bar = longest[(len(longest) - 1) // 2]
        others = [index for index in [*self.ways][1:] if self._durations[index] <= bar]

        def uniqueness(index: int) -> tuple[float, float]:
            rest = [sketch for i, sketch in self._sketches.items() if i != index]
            nearest = min(cv2.norm(self._sketches[index], one, cv2.NORM_L1) for one in rest)
            return nearest, self._durations[index]

        dropped = min(others, key=uniqueness)
        for parts in (self.ways, self._sketches, self._durations):
            del parts[dropped]
