"""A heat-map drawn over its image, for people."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_STRENGTH = 0.6  # how far the hottest place hides the image
_FAINT, _CLEAR = 0.5, 1.0  # shares of the threshold: below it nothing is coloured; above it all is


def draw_heatmap(
    rgb: NDArray[np.uint8], heatmap: NDArray[np.float32], threshold: float = 0.5
) -> NDArray[np.uint8]:
    """Return an image in shades of grey under its heat-map, uint8, (height, width, 3), RGB.

    Colours say how a place compares with the threshold of the label: below half of it there are
    none, at the threshold they are those of the middle of the scale, and at 1 the brightest.

    Args:
        rgb: uint8, (height, width, 3), RGB.
        heatmap: float32, (h, w), 0 to 1, over the whole image.
        threshold: over which the label makes an image a lead.
    """
    height, width = rgb.shape[:2]
    heat = np.clip(cv2.resize(heatmap, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)
    threshold = min(max(threshold, 1e-3), 1 - 1e-3)
    scale = np.interp(heat, [0, threshold, 1], [0, 0.5, 1])
    colors = cv2.applyColorMap((255 * scale).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None]
    shown = np.clip((heat / threshold - _FAINT) / (_CLEAR - _FAINT), 0, 1)
    cover = _STRENGTH * shown[..., None]
    mixed = (1 - cover) * (0.6 * gray) + cover * colors
    return np.asarray(np.clip(mixed, 0, 255), np.uint8)
