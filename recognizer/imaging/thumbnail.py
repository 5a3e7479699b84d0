"""Pictures for people: thumbnails, and heat-maps drawn over their images."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

THUMBNAIL_SIDE = 256
"""The longer side of a lead's thumbnail at most, in pixels; the review page draws it 240 wide."""

_JPEG_QUALITY = 80
_STRENGTH = 0.6  # how far the hottest place hides the image


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


def draw_heatmap(
    rgb: NDArray[np.uint8], heatmap: NDArray[np.float32], threshold: float = 0.5
) -> NDArray[np.uint8]:
    """Return an image in shades of grey under its heat-map, uint8, (height, width, 3), RGB.

    Colours say how a place compares with the threshold of the label: below half of it there are
    none, at the threshold they are those of the middle of the scale, and at 1 the brightest. The
    heat-map is float32, (h, w), 0 to 1, over the complete image.
    """
    height, width = rgb.shape[:2]
    heat = np.clip(cv2.resize(heatmap, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)
    threshold = min(max(threshold, 1e-3), 1 - 1e-3)
    scale = np.interp(heat, [0, threshold, 1], [0, 0.5, 1])
    colors = cv2.applyColorMap((255 * scale).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None]
    shown = np.clip(2 * heat / threshold - 1, 0, 1)
    cover = _STRENGTH * shown[..., None]
    mixed = (1 - cover) * (0.6 * gray) + cover * colors
    return np.asarray(np.clip(mixed, 0, 255), np.uint8)
