"""Changes of photos that training draws and the test of robustness sets.

Pictures are uint8, (height, width, 3), RGB, and never changed in place. Every draw depends only on
the given generator.
"""

from __future__ import annotations

import cv2
import numpy as np

from recognizer.dataset.cutout import Picture


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


def put_photo(rgb: Picture, backdrop: Picture, rng: np.random.Generator) -> Picture:
    """Put the whole photo, smaller, on a backdrop that is stretched to its size."""
    height, width = rgb.shape[:2]
    scale = rng.uniform(0.5, 0.95)
    canvas = cv2.resize(backdrop, (width, height), interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    y = int(rng.integers(height - small.shape[0] + 1))
    x = int(rng.integers(width - small.shape[1] + 1))
    canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
    return np.asarray(canvas, np.uint8)


def recompress(rgb: Picture, quality: int) -> Picture:
    """Write the photo as JPEG, quality 0 to 100, and read it again."""
    _, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1])
