"""Contact sheets: photos with captions in a grid, for people who may see the data."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

_LINE, _GAP = 14, 4  # of a line of text, and around a photo, in pixels


def contact_sheet(
    pictures: Sequence[tuple[str, NDArray[np.uint8]]], tile: int, columns: int = 6
) -> NDArray[np.uint8]:
    """Return pictures, RGB, above their captions; ``tile`` is the side of one in pixels."""
    lines = max((words.count("\n") + 1 for words, _ in pictures), default=0)
    high, wide = tile + _LINE * lines + _GAP, tile + _GAP
    size = (columns * wide, max(1, math.ceil(len(pictures) / columns)) * high)
    sheet = Image.new("RGB", size, "#202020")
    draw = ImageDraw.Draw(sheet)
    for place, (words, picture) in enumerate(pictures):
        left, top = place % columns * wide, place // columns * high
        sheet.paste(ImageOps.pad(Image.fromarray(picture), (tile, tile)), (left, top))
        draw.multiline_text((left, top + tile), words, fill="#e1e1e1")
    return np.asarray(sheet)
