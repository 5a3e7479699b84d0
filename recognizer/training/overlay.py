"""What sellers lay over their photos: advertisement text, watermarks, price tags, frames, collages.

A model sees none of the words; what counts is that text and frames stand on photos of everything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

RGB = NDArray[np.uint8]
Color = tuple[int, int, int]

_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
)
_WORDS = (
    "antique vintage rare fine art original signed old carved carving hand made century sale "
    "auction lot price free shipping new shop gallery collection museum quality figure statue box "
    "silver gold set pair large small beautiful unique gift www .com visit our store for more info "
    "available now $ 120 450 1.200 EUR USD no reserve certificate follow us 2016 2024 # @"
)
_NARROWEST = 4  # pixels of a tile's side


def advertise(image: RGB, rng: np.random.Generator) -> RGB:
    """Return a copy with some of: a frame, lines of text, a watermark, a tag, a logo."""
    image = image.copy()
    frame, lines, mark, tag, logo = rng.random(5)
    if frame < 0.35:
        _frame(image, rng)
    if lines < 0.6:
        _lines(image, rng)
    if mark < 0.35:
        image = _watermark(image, rng)
    if tag < 0.2:
        _tag(image, rng)
    if logo < 0.15:
        _logo(image, rng)
    return image


def _frame(image: RGB, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    edge = int(rng.uniform(0.02, 0.1) * min(height, width))
    inside = cv2.resize(image, (width - 2 * edge, height - 2 * edge), interpolation=cv2.INTER_AREA)
    image[:] = _color(rng)
    image[edge : height - edge, edge : width - edge] = inside


def _lines(image: RGB, rng: np.random.Generator) -> None:
    """Write lines, on a band or straight on the photo."""
    height = image.shape[0]
    count, letter = int(rng.integers(1, 5)), rng.uniform(0.035, 0.11) * height
    total = count * letter * 1.5
    tops = (0.02 * height, 0.97 * height - total, rng.uniform(0, max(1.0, height - total)))
    top, color = tops[int(rng.integers(3))], _color(rng)
    if rng.random() < 0.5:
        ground, share = _color(rng), rng.uniform(0.5, 1.0)
        band = image[max(0, int(top - letter * 0.3)) : int(top + total)]
        band[:] = (band * (1 - share) + np.array(ground) * share).astype(np.uint8)
        if sum(abs(a - b) for a, b in zip(ground, color, strict=True)) < 200:
            color = _inverse(ground)
    align = rng.choice((0.0, 0.5, 1.0))
    for line in range(count):
        _write(image, rng, top + (line + 0.9) * letter * 1.5, letter, align, color)


def _watermark(image: RGB, rng: np.random.Generator) -> RGB:
    layer, height = image.copy(), image.shape[0]
    letter, color = rng.uniform(0.04, 0.13) * height, _color(rng)
    rows = [(k + 0.7) / 4 for k in range(4)] if rng.random() < 0.3 else [rng.uniform(0.1, 0.97)]
    for row in rows:
        _write(layer, rng, row * height, letter, rng.choice((0.0, 0.5, 1.0)), color)
    share = rng.uniform(0.2, 0.7)
    return np.asarray(cv2.addWeighted(image, 1 - share, layer, share, 0), np.uint8)


def _write(
    image: RGB, rng: np.random.Generator, y: float, letter: float, align: float, color: Color
) -> None:
    """Write some words with letters so many pixels high; ``align`` is 0 left to 1 right."""
    width, font = image.shape[1], _FONTS[int(rng.integers(len(_FONTS)))]
    words = " ".join(rng.choice(_WORDS.split(), int(rng.integers(1, 6))))
    (wide, high), _ = cv2.getTextSize(words, font, 1.0, 1)
    scale = min(letter / max(high, 1), 0.96 * width / max(wide, 1))
    place = (round(0.02 * width + align * (0.96 * width - wide * scale)), round(y))
    thick = max(1, round(letter / 9))
    if rng.random() < 0.4:
        cv2.putText(image, words, place, font, scale, _inverse(color), thick + 2, cv2.LINE_AA)
    cv2.putText(image, words, place, font, scale, color, thick, cv2.LINE_AA)


def _tag(image: RGB, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    wide, high = int(rng.uniform(0.15, 0.3) * width), int(rng.uniform(0.08, 0.14) * height)
    x, y, color = int(rng.uniform(0, width - wide)), int(rng.uniform(0, height - high)), _color(rng)
    if rng.random() < 0.5:
        cv2.rectangle(image, (x, y), (x + wide, y + high), color, cv2.FILLED)
    else:
        middle, axes = (x + wide // 2, y + high // 2), (wide // 2, high)
        cv2.ellipse(image, middle, axes, 0, 0, 360, color, cv2.FILLED)
    price, place = f"${int(rng.integers(5, 5000))}", (x + 3, y + int(0.75 * high))
    cv2.putText(image, price, place, _FONTS[0], high / 35, _inverse(color), 1 + high // 20)


def _logo(image: RGB, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    radius, color = int(rng.uniform(0.05, 0.12) * height), _color(rng)
    x, y = (int(rng.choice((1.3 * radius, side - 1.3 * radius))) for side in (width, height))
    thick = cv2.FILLED if rng.random() < 0.6 else max(1, radius // 6)
    cv2.circle(image, (x, y), radius, color, thick, cv2.LINE_AA)


def tile(tiles: Sequence[RGB], rng: np.random.Generator, side: int) -> RGB:
    """Return a collage of pictures, cut to their fields, its longer side so many pixels."""
    gap = int(rng.uniform(0, 0.02) * side) if rng.random() < 0.7 else 0
    rows = int(np.clip(round(math.sqrt(len(tiles)) + rng.normal(0, 0.6)), 1, len(tiles)))
    shape = rng.uniform(0.6, 1.0) if rng.random() < 0.5 else 1.0
    high, wide = (round(shape * side), side) if rng.random() < 0.5 else (side, round(shape * side))
    canvas = np.empty((high, wide, 3), np.uint8)
    canvas[:] = _color(rng)
    order = iter(rng.permutation(len(tiles)).tolist())
    bands = _edges(high, rows, rng)
    for row, places in enumerate(np.array_split(np.arange(len(tiles)), rows)):
        columns = _edges(wide, len(places), rng)
        for column in range(len(places)):
            field = canvas[
                bands[row] + gap : bands[row + 1] - gap,
                columns[column] + gap : columns[column + 1] - gap,
            ]
            picture = tiles[next(order)]
            if min(field.shape[:2]) >= _NARROWEST:
                field[:] = _filling(picture, field.shape[0], field.shape[1])
    return canvas


def _edges(length: int, count: int, rng: np.random.Generator) -> list[int]:
    """Return the borders of so many parts of a length, alike or not."""
    parts = rng.uniform(0.7, 1.3, count) if rng.random() < 0.4 else np.ones(count)
    return [0, *(np.cumsum(parts) / parts.sum() * length).round().astype(int).tolist()]


def _filling(picture: RGB, height: int, width: int) -> RGB:
    """Return the middle of a picture that fills a field."""
    scale = min(picture.shape[0] / height, picture.shape[1] / width)
    high, wide = max(1, int(height * scale)), max(1, int(width * scale))
    top, left = (picture.shape[0] - high) // 2, (picture.shape[1] - wide) // 2
    part = np.ascontiguousarray(picture[top : top + high, left : left + wide])
    return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _color(rng: np.random.Generator) -> Color:
    drawn = rng.random()
    if drawn < 0.6:
        return (255, 255, 255) if drawn < 0.35 else (0, 0, 0)
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue


def _inverse(color: Color) -> Color:
    return 255 - color[0], 255 - color[1], 255 - color[2]
