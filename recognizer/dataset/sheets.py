"""Contact sheets: many pictures in a grid, each over its caption."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

_GAP = 4  # around a picture, in pixels
_LINE = 14  # height of a line of text, in pixels
_PAPER, _INK = 32, 225


def contact_sheet(pictures: Sequence[tuple[str, Picture]], tile: int, columns: int = 0) -> Picture:
    """Lay pictures with captions of one or several lines out in a grid, (height, width, 3).

    ``tile`` is the longer side of a picture on the sheet, in pixels. With 0 columns the sheet is
    half again as wide as high.
    """
    lines = [words.split("\n") for words, _ in pictures]
    most = max(map(len, lines), default=1)
    columns = columns or max(1, math.ceil(math.sqrt(len(pictures) * 1.5)))
    rows = max(1, math.ceil(len(pictures) / columns))
    high, wide = tile + most * _LINE + _GAP, tile + _GAP
    sheet = np.full((rows * high + _GAP, columns * wide + _GAP, 3), _PAPER, dtype=np.uint8)
    for index, (_, picture) in enumerate(pictures):
        scale = tile / max(picture.shape[:2])
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        corner_y, corner_x = index // columns * high + _GAP, index % columns * wide + _GAP
        top = corner_y + (tile - small.shape[0]) // 2
        left = corner_x + (tile - small.shape[1]) // 2
        sheet[top : top + small.shape[0], left : left + small.shape[1]] = small
        for number, line in enumerate(lines[index]):
            below = corner_y + tile + number * _LINE
            _write(sheet[below : below + _LINE, corner_x : corner_x + tile], line)
    return sheet


def _write(strip: Picture, text: str) -> None:
    """Write text in the middle of a strip, in place, shrunk to fit."""
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.38
    width = cv2.getTextSize(text, font, size, 1)[0][0]
    if width > strip.shape[1]:
        size *= strip.shape[1] / width
        width = strip.shape[1]
    place = ((strip.shape[1] - width) // 2, _LINE - 4)
    words = np.ascontiguousarray(strip)
    cv2.putText(words, text, place, font, size, (_INK,) * 3, 1, cv2.LINE_AA)
    strip[:] = words
