"""Which frames of an animation are looked at: those that a viewer sees longest, or sees once."""

import itertools
import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recognizer.imaging.gif import gif_canvases, outline_gif
from recognizer.imaging.pixels import renderings

_SKETCH = (32, 32)  # pixels; at this size frames are compared

Render = Callable[[Image.Image], list[NDArray[np.uint8]]]


def canvases(data: bytes, image: Image.Image, name: str, count: int) -> Iterator[Image.Image]:
    """Yield what is seen of each of the first ``count`` frames, valid until the next."""
    outline = outline_gif(data) if name == "gif" else None
    if outline and (count > 1 or outline.box(data, 0) != (0, 0, *image.size)):
        yield from itertools.islice(gif_canvases(data, outline), count)
        return
    primary = image.tell()  # of a HEIC the one that viewers show; it changes places with the first
    yield image
    for index in range(1, count):
        image.seek(0 if index == primary else index)
        yield image


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
            self._durations[index] = math.inf if is_last else image.info.get("duration") or 0
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
