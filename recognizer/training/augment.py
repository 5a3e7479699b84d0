"""Random changes of training photos, of products and look-alikes alike, so that none is a clue.

Every draw depends only on the given generator.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from recognizer.training.config import AugmentConfig

RGB = NDArray[np.uint8]

_MAX_CUT = 0.1  # share of a side that is cut off a photo that is hardly changed
_ROTATED, _MAX_DEGREES = 0.4, 20.0
_RECOLOURED, _CONTRAST, _TINT = 0.8, 0.35, 0.05
_DAMAGE = {"gray": 0.08, "blur": 0.1, "shrink": 0.15, "noise": 0.08, "jpeg": 0.3, "erase": 0.1}


class Augmentation:
    """The changes of a recipe; ``size`` is the side of the network's input in pixels."""

    def __init__(self, config: AugmentConfig, size: int) -> None:
        self.config, self.size = config, size

    def __call__(self, rgb: RGB, rng: np.random.Generator) -> RGB:
        """Return a changed copy of a photo, (size, size, 3), ready for the network.

        The photo is uint8, RGB, of any height and width.
        """
        if rng.random() < self.config.identity_prob:
            return self._gently(rgb, rng)
        image = random_part(rgb, self.size, rng, self.config.min_crop)
        return self._damage(_recolour(image, rng), rng)

    def _gently(self, rgb: RGB, rng: np.random.Generator) -> RGB:
        height, width = rgb.shape[:2]
        cut = rng.uniform(0, _MAX_CUT, 4) * [height, height, width, width]
        top, bottom, left, right = cut.astype(int)
        rgb = rgb[top : height - bottom, left : width - right]
        image = _resize(rgb[:, ::-1] if rng.random() < 0.5 else rgb, self.size, rng)
        if rng.random() < 0.7:
            gain = rng.normal(1, 0.06, 3) * rng.uniform(0.8, 1.2)
            image = _map_levels(image, np.arange(256)[:, None] * gain + rng.uniform(-15, 15))
        return image

    def _damage(self, image: RGB, rng: np.random.Generator) -> RGB:
        """Lose colour, sharpness, resolution or a part, as platforms and phones do."""
        drawn = dict(zip(_DAMAGE, rng.random(len(_DAMAGE)), strict=True))
        done = {k for k, share in _DAMAGE.items() if drawn[k] < share * self.config.damage}
        if "gray" in done:
            image = np.asarray(_gray(image), np.uint8)
        if "blur" in done:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 2.0)), np.uint8)
        if "shrink" in done:
            scale = rng.uniform(0.3, 0.8)
            small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            image = np.asarray(cv2.resize(small, (self.size, self.size)), np.uint8)
        if "noise" in done:
            noise = rng.standard_normal(image.shape, np.float32) * rng.uniform(3, 14)
            image = (image + noise).clip(0, 255).astype(np.uint8)
        if "jpeg" in done:
            image = _recompress(image, int(rng.integers(25, 96)))
        if "erase" in done:
            side = self.size * math.sqrt(rng.uniform(0.02, 0.15))
            ratio = math.sqrt(_log_uniform(rng, 2.5))
            high, wide = (min(self.size - 1, round(s)) for s in (side * ratio, side / ratio))
            top, left = rng.integers(self.size - high), rng.integers(self.size - wide)
            image = image.copy()
            image[top : top + high, left : left + wide] = rng.integers(0, 256, 3)
        return np.ascontiguousarray(image)


def random_part(rgb: RGB, size: int, rng: np.random.Generator, min_area: float) -> RGB:
    """Return a random part of a photo, perhaps mirrored and turned, uint8, (size, size, 3).

    ``min_area`` is the smallest share of the area that it keeps.
    """
    height, width = rgb.shape[:2]
    area, ratio = rng.uniform(min_area, 1.0) * height * width, _log_uniform(rng, 1.67)
    wide, high = min(width, math.sqrt(area * ratio)), min(height, math.sqrt(area / ratio))
    left, top = rng.uniform(0, width - wide), rng.uniform(0, height - high)
    is_mirrored = rng.random() < 0.5
    if rng.random() >= _ROTATED:
        part = rgb[int(top) : int(top + high), int(left) : int(left + wide)]
        return _resize(part[:, ::-1] if is_mirrored else part, size, rng)
    angle = math.radians(rng.uniform(-_MAX_DEGREES, _MAX_DEGREES))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = turn * [[wide, high], [wide, high]] / size  # from the result to the photo
    if is_mirrored:
        matrix[:, 0] *= -1
    shift = np.array([left + wide / 2, top + high / 2]) - matrix.sum(1) * size / 2
    border = cv2.BORDER_REPLICATE if rng.random() < 0.5 else cv2.BORDER_REFLECT_101
    return np.asarray(
        cv2.warpAffine(
            np.ascontiguousarray(rgb),
            np.column_stack([matrix, shift]),
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=border,
        ),
        np.uint8,
    )


def _recolour(image: RGB, rng: np.random.Generator) -> RGB:
    if rng.random() >= _RECOLOURED:
        return image
    saturation, contrast, light = rng.uniform(1 - _CONTRAST, 1 + _CONTRAST, 3)
    image = np.asarray(
        cv2.addWeighted(image, saturation, _gray(image), 1 - saturation, 0), np.uint8
    )
    middle = float(image[::8, ::8].mean())
    levels = (np.arange(256)[:, None] - middle) * contrast + middle
    return _map_levels(image, levels * light * rng.normal(1, _TINT, 3))


def _map_levels(image: RGB, levels: NDArray[np.floating]) -> RGB:
    """Return an image with other values of each channel: ``levels``, (256, 3)."""
    return np.asarray(cv2.LUT(image, levels.clip(0, 255).astype(np.uint8)[None]), np.uint8)


def _gray(image: RGB) -> RGB:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)


def _resize(rgb: RGB, size: int, rng: np.random.Generator) -> RGB:
    # A JPEG that is decoded at reduced size is smooth, one at full size is not.
    method = cv2.INTER_AREA if rng.random() < 0.5 else cv2.INTER_LINEAR
    resized = cv2.resize(np.ascontiguousarray(rgb), (size, size), interpolation=method)
    return np.asarray(resized, np.uint8)


def _log_uniform(rng: np.random.Generator, largest: float) -> float:
    return math.exp(rng.uniform(-math.log(largest), math.log(largest)))


def _recompress(rgb: RGB, quality: int) -> RGB:
    """Write a photo as JPEG, quality 0 to 100, and read it again."""
    _, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1])
