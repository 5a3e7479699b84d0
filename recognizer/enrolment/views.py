"""Changed copies of a photo: what the same thing would look like in other listings.

Three photos say little of how a product varies. Crops, turns, other colours and, where the object
can be cut out, other backgrounds say which changes do not matter. Every draw depends on the given
generator alone, and nothing here needs torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from recognizer.dataset.alterations import lose_resolution, plain_backdrop, put_object, put_photo
from recognizer.dataset.cutout import find_object
from recognizer.imaging import model_input

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

# How often, and how strongly, a view is changed: the strengths of training (AugmentConfig), which
# the network has learned to see through.
_BACKGROUND, _CANVAS, _ROTATE, _COLOR, _GRAY, _DOWNSCALE, _JPEG = 0.5, 0.2, 0.5, 0.8, 0.1, 0.2, 0.4
_MAX_DEGREES = 25.0
_MIN_CROP = 0.35  # share of the area
_MAX_STRETCH = 1.67  # of a crop's sides, either way
_GAIN = 0.35  # of brightness, contrast and saturation, either way


def make_views(
    rgb: NDArray[np.uint8], count: int, size: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return a photo and changed copies of it as model input.

    Args:
        rgb: uint8, (height, width, 3), RGB.
        count: views, at least 1: the photo itself, its mirror image, then random ones.
        size: side of the model's input in pixels.
        rng: source of every random draw.

    Returns:
        uint8, (count, size, size, 3), RGB.
    """
    whole = model_input(rgb, size)
    views = [whole, np.ascontiguousarray(whole[:, ::-1])][:count]
    mask = find_object(rgb) if count > len(views) else None
    views += [model_input(_changed(rgb, mask, rng), size) for _ in range(count - len(views))]
    return np.stack(views)


def _changed(rgb: Picture, mask: Picture | None, rng: np.random.Generator) -> Picture:
    if mask is not None and rng.random() < _BACKGROUND:
        rgb = put_object(rgb, mask, plain_backdrop(rng), rng)
    if rng.random() < _CANVAS:
        rgb = put_photo(rgb, plain_backdrop(rng), rng)
    if rng.random() < _ROTATE:
        rgb = _turned(rgb, rng.uniform(-_MAX_DEGREES, _MAX_DEGREES))
    rgb = _cropped(rgb, rng)
    if rng.random() < 0.5:
        rgb = np.ascontiguousarray(rgb[:, ::-1])
    if rng.random() < _COLOR:
        rgb = _recolored(rgb, rng)
    if rng.random() < _GRAY:
        rgb = np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if rng.random() < _DOWNSCALE and min(rgb.shape[:2]) > 16:
        rgb = lose_resolution(rgb, rng)
    if rng.random() < _JPEG:
        rgb = _recompressed(rgb, int(rng.integers(25, 96)))
    return rgb


def _turned(rgb: Picture, degrees: float) -> Picture:
    height, width = rgb.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    turned = cv2.warpAffine(rgb, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, np.uint8)


def _cropped(rgb: Picture, rng: np.random.Generator) -> Picture:
    height, width = rgb.shape[:2]
    share = rng.uniform(_MIN_CROP, 1.0)
    stretch = np.exp(rng.uniform(-np.log(_MAX_STRETCH), np.log(_MAX_STRETCH)))
    across = min(width, max(1, round(width * np.sqrt(share * stretch))))
    down = min(height, max(1, round(height * np.sqrt(share / stretch))))
    x, y = int(rng.integers(width - across + 1)), int(rng.integers(height - down + 1))
    return np.ascontiguousarray(rgb[y : y + down, x : x + across])


def _recolored(rgb: Picture, rng: np.random.Generator) -> Picture:
    brightness, contrast, saturation = rng.uniform(1 - _GAIN, 1 + _GAIN, 3)
    warmth = rng.uniform(0.94, 1.06, 3)
    pixels = rgb.astype(np.float32) * (brightness * warmth).astype(np.float32)
    pixels = (pixels - pixels.mean()) * np.float32(contrast) + pixels.mean()
    gray = pixels.mean(axis=2, keepdims=True)
    pixels = gray + (pixels - gray) * np.float32(saturation)
    return np.asarray(np.clip(np.rint(pixels), 0, 255), np.uint8)


def _recompressed(rgb: Picture, quality: int) -> Picture:
    _, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)
