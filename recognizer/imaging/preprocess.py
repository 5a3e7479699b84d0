"""From an upright RGB image to the model's input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PREPROCESSING_VERSION = 1
"""Raised whenever the same bytes would give other model inputs than before.

Version 1: EXIF orientation, alpha on white, the largest reduction (JPEG: a DCT scale; else a box
filter by a whole factor) that keeps the short side at or above the model's input, then a bilinear
resize of the whole image to a square. Nothing is cropped away: in a listing photo the product
is often at the edge.
"""


def model_input(rgb: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize an image to the model's square input.

    Args:
        rgb: uint8, (height, width, 3), RGB, as :func:`recognizer.imaging.load_image` gives it.
        size: side of the model's input in pixels.

    Returns:
        uint8, (size, size, 3), RGB, 0 to 255.
    """
    return np.asarray(cv2.resize(rgb, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
