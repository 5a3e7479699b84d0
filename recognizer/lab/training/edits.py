"""Edits by sellers and platforms: other backdrops, collages, screenshots, text, watermarks.

What torchvision has (JPEG, blur, noise, hue, perspective) is taken from there, in
:mod:`recognizer.lab.training.augment`. Pictures are uint8, (height, width, 3), RGB; every draw
depends only on the given generator. ``benchmarks/evasion.py`` measures with other layouts, fonts
and shapes than these.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

RGB = NDArray[np.uint8]

LAYOUTS = ((1, 2), (2, 1), (2, 2), (1, 3), (3, 1), (2, 3), (3, 3))
"""Rows and columns of collages."""

LAYOUT_WEIGHTS = (0.24, 0.24, 0.26, 0.07, 0.07, 0.06, 0.06)
_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)
_LETTERS = np.array([*"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789  !$%-./@:"])


def plain_backdrop(rng: np.random.Generator, side: int = 288) -> RGB:
    """Return a plain color or a gentle gradient with a little grain: studio paper, dark cloth."""
    if rng.random() < 0.6:  # near gray, as studios have it
        first = np.full(3, rng.uniform(0, 255)) + rng.normal(0, 8, 3)
    else:
        first = rng.uniform(0, 255, 3)
    last = first + rng.normal(0, 30) + rng.normal(0, 6, 3)
    along = np.linspace(0, 1, side)[:, None, None]
    picture = np.broadcast_to(first * (1 - along) + last * along, (side, side, 3))
    if rng.random() < 0.5:
        picture = picture.swapaxes(0, 1)
    grain = rng.normal(0, rng.uniform(0.5, 6), (side, side, 1))
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def put_photo(rgb: RGB, backdrop: RGB, rng: np.random.Generator) -> RGB:
    """Put the whole photo, smaller, on a backdrop that is stretched to its size."""
    height, width = rgb.shape[:2]
    scale = rng.uniform(0.5, 0.95)
    canvas = cv2.resize(backdrop, (width, height), interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    y = int(rng.integers(height - small.shape[0] + 1))
    x = int(rng.integers(width - small.shape[1] + 1))
    canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
    return np.asarray(canvas, np.uint8)


def collage(cells: Sequence[RGB], shape: tuple[int, int], rng: np.random.Generator) -> RGB:
    """Return a collage, (rows, columns) as in ``shape``, of that many photos in random order."""
    rows, columns = shape
    height, width = (int(rng.integers(300, 420)) for _ in range(2))
    gutter = int(rng.choice([0, 0, 2, 4, 8, 14]))
    canvas = np.full((height, width, 3), _color(rng), np.uint8)
    order = rng.permutation(len(cells))
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        top, bottom = (round(height * (row + i) / rows) for i in (0, 1))
        left, right = (round(width * (column + i) / columns) for i in (0, 1))
        bottom, right = max(top + 2, bottom - gutter), max(left + 2, right - gutter)
        canvas[top:bottom, left:right] = _cover(cells[order[place]], bottom - top, right - left)
    return canvas


def frame(rgb: RGB, rng: np.random.Generator) -> RGB:
    """Return a photo with a border, as a letterbox, or in the corner of a page."""
    height, width = rgb.shape[:2]
    kind = rng.integers(3)
    if kind == 0:  # a border all around
        pads = [round(float(rng.uniform(0.02, 0.5)) * min(height, width))] * 4
    elif kind == 1:  # a letterbox
        side = round(float(rng.uniform(0.1, 1.2)) * max(height, width) / 2)
        pads = [side, side, 0, 0] if rng.random() < 0.5 else [0, 0, side, side]
    else:
        pads = [round(float(rng.uniform(0, 1.2)) * s) for s in (height, height, width, width)]
        pads[int(rng.integers(2))] = 0
        pads[2 + int(rng.integers(2))] = 0
    top, bottom, left, right = pads
    size = (height + top + bottom, width + left + right, 3)
    framed = np.full(size, _color(rng), np.uint8)
    if rng.random() < 0.15:  # the photo itself, blurred, as social networks fill letterboxes
        framed = np.asarray(cv2.GaussianBlur(cv2.resize(rgb, size[1::-1]), (0, 0), 12), np.uint8)
    framed[top : top + height, left : left + width] = rgb
    return framed


def screenshot(rgb: RGB, rng: np.random.Generator) -> RGB:
    """Return a photo as a phone or a web page shows it: bars, lines of text, buttons."""
    width = 320
    high = max(60, min(480, round(rgb.shape[0] * width / rgb.shape[1])))
    above, below = (int(rng.integers(10, 120)) for _ in range(2))
    ground = int(rng.integers(10, 45) if rng.random() < 0.4 else rng.integers(230, 256))
    ink = 255 - ground
    canvas = np.full((above + high + below, width, 3), ground, np.uint8)
    margin = int(rng.choice([0, 0, 8, 16]))
    canvas[above : above + high, margin : width - margin] = _cover(rgb, high, width - 2 * margin)
    canvas[: min(18, above)] = rng.integers(0, 256, 3)
    for _ in range(int(rng.integers(1, 6))):
        is_above = rng.random() < 0.4
        y = int(rng.integers(above)) if is_above else above + high + int(rng.integers(below))
        _write(canvas, (int(rng.integers(4, 60)), y), 0.35, [ink] * 3, rng)
    if below > 40 and rng.random() < 0.5:
        corners = (20, above + high + 12), (width - 20, above + high + 36)
        cv2.rectangle(canvas, *corners, rng.integers(0, 256, 3).tolist(), -1)
    return canvas


def write_text(image: RGB, rng: np.random.Generator) -> RGB:
    """Return an image with one to four lines of text, perhaps on a box."""
    image, side = image.copy(), image.shape[0]
    scale = float(rng.uniform(0.4, 2.2)) * side / 256
    color = rng.integers(0, 256, 3).tolist()
    y = int(rng.integers(side // 8, side))
    for _ in range(int(rng.integers(1, 5))):
        place = (int(rng.integers(-side // 8, side // 2)), y)
        if rng.random() < 0.25:
            box = (place[0], y - round(26 * scale)), (place[0] + side, y + round(10 * scale))
            cv2.rectangle(image, *box, rng.integers(0, 256, 3).tolist(), -1)
        _write(image, place, scale, color, rng)
        y += round(34 * scale)
    return image


def watermark(image: RGB, rng: np.random.Generator) -> RGB:
    """Return an image under a translucent mark, single or tiled, at any angle."""
    side = max(image.shape[:2])
    large = np.zeros((2 * side, 2 * side), np.uint8)
    scale = float(rng.uniform(0.4, 1.4)) * side / 256
    words = "".join(rng.choice(_LETTERS, int(rng.integers(4, 14))))
    font, thick = int(rng.choice(_FONTS)), max(1, round(2 * scale))
    step = round(rng.uniform(40, 110) * scale) if rng.random() < 0.6 else 4 * side
    for y in range(side if step > side else step, 2 * side, step):
        for x in range(side // 2 if step > side else 0, 2 * side, max(step, 3 * step)):
            cv2.putText(large, words, (x, y), font, scale, 255, thick, cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((side, side), float(rng.uniform(-50, 50)), 1.0)
    height, width, corner = *image.shape[:2], side // 2
    mark = cv2.warpAffine(large, turn, large.shape)[corner : corner + height]
    mark = mark[:, corner : corner + width, None].astype(np.float32) / 255
    opacity = mark * float(rng.uniform(0.15, 0.75))
    color = np.float32(255 if rng.random() < 0.6 else rng.integers(0, 256))
    return (image * (1 - opacity) + color * opacity).astype(np.uint8)


def _cover(rgb: RGB, height: int, width: int) -> RGB:
    """Return the middle of a photo that fills a cell."""
    scale = max(height / rgb.shape[0], width / rgb.shape[1])
    size = max(width, round(rgb.shape[1] * scale)), max(height, round(rgb.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    large = np.asarray(cv2.resize(rgb, size, interpolation=method), np.uint8)
    top, left = (large.shape[0] - height) // 2, (large.shape[1] - width) // 2
    return large[top : top + height, left : left + width]


def _color(rng: np.random.Generator) -> NDArray[np.uint8]:
    kind = rng.random()
    if kind < 0.65:
        low, high = (235, 256) if kind < 0.45 else (0, 30)
        return np.full(3, rng.integers(low, high), np.uint8)
    return rng.integers(0, 256, 3).astype(np.uint8)


def _write(
    image: RGB, place: tuple[int, int], scale: float, color: Sequence[int], rng: np.random.Generator
) -> None:
    font = int(rng.choice(_FONTS))
    words = "".join(rng.choice(_LETTERS, int(rng.integers(3, 22))))
    thick = max(1, round(scale * rng.uniform(1, 3.5)))
    if rng.random() < 0.3:
        edge = (255 - np.array(color)).tolist()
        cv2.putText(image, words, place, font, scale, edge, thick + 2, cv2.LINE_AA)
    cv2.putText(image, words, place, font, scale, [int(c) for c in color], thick, cv2.LINE_AA)
