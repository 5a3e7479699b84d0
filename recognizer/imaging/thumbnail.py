"""Thumbnails: small JPEGs of leads, made by a worker from the pixels that it has decoded anyway.

The review queue then shows what was scored, even if the file is gone.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

THUMBNAIL_SIDE = 256
"""The longer side of a lead's thumbnail at most, in pixels; the review page draws it 240 wide."""

_JPEG_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small JPEG of a frame, numbered from 0 in its file; sizes are in pixels."""

    jpeg: bytes
    width: int
    height: int
    frame: int


def shrink(rgb: NDArray[np.uint8], side: int, frame: int) -> Thumbnail:
    """Make a thumbnail, at most ``side`` pixels long, of RGB, uint8 (height, width, 3)."""
    height, width = rgb.shape[:2]
    scale = side / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    return Thumbnail(jpeg.tobytes(), rgb.shape[1], rgb.shape[0], frame)
