"""Pictures for people: thumbnails, and images with their heat-maps."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

THUMBNAIL_SIDE = 256
"""The longer side of a lead's thumbnail at most, in pixels; the review page draws it 240 wide."""

_JPEG_QUALITY = 80
_SOFTNESS = 1 / 80  # of the longer side: a heat-map's cells are a tenth of it, and leave no steps
_OUTSIDE = 0.55  # share of its brightness that is left outside the line
_LINE, _EDGE = (255, 214, 0), (0, 0, 0)  # seen on ivory and on black cloth


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
    """Return an image with a line around what the score of a label comes from.

    The line is at half of the maximum of the heat-map, but never under the threshold of the label:
    where nothing reaches that, there is none. What is outside is darker. The heat-map is float32,
    (h, w), 0 to 1, over the complete image, which is uint8, (height, width, 3), RGB.
    """
    side = max(rgb.shape[:2])
    heat = cv2.resize(heatmap, rgb.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    heat = cv2.GaussianBlur(heat, (0, 0), side * _SOFTNESS)
    hot = (heat >= max(threshold, float(heat.max()) / 2)).astype(np.uint8)
    inside = cv2.morphologyEx(hot, cv2.MORPH_OPEN, np.ones((side // 40 + 1,) * 2))  # no specks
    shown = np.where(inside[..., None], rgb, (_OUTSIDE * rgb).astype(np.uint8))
    lines, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    thick = max(2, side // 250)
    cv2.drawContours(shown, lines, -1, _EDGE, thick + 2)
    cv2.drawContours(shown, lines, -1, _LINE, thick)
    return np.asarray(shown, np.uint8)
