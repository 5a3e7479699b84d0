"""A heat-map drawn over its image, for people."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_STRENGTH = 0.55  # how far the hottest place hides the image


def draw_heatmap(rgb: NDArray[np.uint8], heatmap: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return an image in shades of grey under its heat-map, uint8, (height, width, 3), RGB.

    Args:
        rgb: uint8, (height, width, 3), RGB.
        heatmap: float32, (h, w), 0 to 1, over the whole image.
    """
    height, width = rgb.shape[:2]
    heat = np.clip(cv2.resize(heatmap, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)
    colors = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None]
    cover = _STRENGTH * np.sqrt(heat)[..., None]
    mixed = (1 - cover) * (0.5 * gray) + cover * colors
    return np.clip(mixed, 0, 255).astype(np.uint8)
