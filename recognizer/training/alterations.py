"""What happens to a photo's pixels on the way to a platform: cut out, pasted, written on, shrunk.

Training draws these changes at random; the test of robustness applies them at set strengths.
Nothing here needs torch, and every draw depends on the given generator alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from recognizer.training.compose import cut_out, lay

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

_WORDS = ("FOR SALE", "price in description", "(c) 2024", "SHOP", "no reserve", "DM me", "original")


def plain_backdrop(rng: np.random.Generator, side: int = 288) -> Picture:
    """Return a plain colour or a gentle gradient with a little grain: studio paper, dark cloth."""
    if rng.random() < 0.6:  # near grey, as studios have it
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


def put_object(rgb: Picture, mask: Picture, backdrop: Picture, rng: np.random.Generator) -> Picture:
    """Cut the object out and put it somewhere on a backdrop, at some size.

    Args:
        rgb: uint8, (height, width, 3), RGB.
        mask: uint8, any smaller size of the same shape, 255 on the object.
        backdrop: uint8, (height, width, 3), RGB; its size is that of the result.
        rng: source of every random draw.
    """
    canvas = backdrop.copy()
    lay(canvas, cut_out(rgb, mask), rng.uniform(0.35, 1.0), 0.0, rng)
    return canvas


def put_photo(rgb: Picture, backdrop: Picture, rng: np.random.Generator) -> Picture:
    """Put the whole photo, smaller, on a backdrop: a collage, a screenshot, a photo of a photo."""
    height, width = rgb.shape[:2]
    scale = rng.uniform(0.5, 0.95)
    canvas = cv2.resize(backdrop, (width, height), interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    y = int(rng.integers(height - small.shape[0] + 1))
    x = int(rng.integers(width - small.shape[1] + 1))
    canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
    return np.asarray(canvas, np.uint8)


def write_across(rgb: Picture, rng: np.random.Generator) -> Picture:
    """Write a seller's line of text across the photo."""
    height, width = rgb.shape[:2]
    words = _WORDS[int(rng.integers(len(_WORDS)))]
    scale = width / 250 * rng.uniform(0.6, 1.4)
    place = (int(rng.uniform(0, 0.5) * width), int(rng.uniform(0.15, 0.95) * height))
    color = [int(v) for v in rng.choice([0, 255], 3)]
    written = cv2.putText(
        rgb.copy(),
        words,
        place,
        cv2.FONT_HERSHEY_SIMPLEX,
        scale,
        color,
        1 + int(scale),
        cv2.LINE_AA,
    )
    return np.asarray(cv2.addWeighted(rgb, 0.4, written, 0.6, 0), np.uint8)


def lose_resolution(rgb: Picture, rng: np.random.Generator) -> Picture:
    """Shrink the photo; the model's resize brings it back, softer."""
    scale = rng.uniform(0.3, 0.8)
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)
