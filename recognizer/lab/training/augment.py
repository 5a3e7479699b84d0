"""Random changes of training photos.

Museum photos show one object on grey paper; sellers show it in front of anything, damaged as
platforms and phones damage photos. Products and look-alikes are changed alike, so that none of it
is a clue. Every draw depends only on the given generator.
"""

import math
from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from recognizer.lab.dataset.compose import compose, plain_backdrop, put_photo, recompress, several
from recognizer.lab.dataset.cutout import Cutout, cut_out
from recognizer.lab.dataset.manifest import BACKDROP_LABELS, Photo
from recognizer.lab.training.cache import PhotoCache
from recognizer.lab.training.config import AugmentConfig

RGB = NDArray[np.uint8]

_MIN_COMPOSED_CROP = 0.7  # objects of a composed image may be small: a crop must not lose them
_MAX_CUT = 0.1  # share of a side that is cut off a photo that is hardly changed
_PLAIN_BACKDROPS = 0.35  # share of the backdrops that are studio paper instead of a photo
_SEVERAL, _MAX_OBJECTS, _WITH_OTHERS = 0.2, 8, 0.2
_ROTATED, _MAX_DEGREES = 0.4, 20.0
_RECOLOURED, _CONTRAST, _TINT = 0.8, 0.35, 0.05
_DAMAGE = {"gray": 0.08, "blur": 0.1, "shrink": 0.15, "noise": 0.08, "jpeg": 0.3, "erase": 0.1}


class Augmentation:
    """The changes of one recipe for one set of training photos.

    Backdrops and other objects come from these photos, too; ``size`` is the side of the model's
    input in pixels.
    """

    def __init__(
        self, config: AugmentConfig, size: int, photos: Sequence[Photo], cache: PhotoCache
    ) -> None:
        self.config, self.size, self._pictures = config, size, cache
        self._backdrops = [p for p in photos if p.label in BACKDROP_LABELS] or list(photos)
        self._of_label = defaultdict[str, list[Photo]](list)
        for photo in photos:
            self._of_label[photo.label].append(photo)
        self._ordinary = [p for p in photos if not p.is_product]

    def __call__(self, photo: Photo, rng: np.random.Generator) -> RGB:
        """Return a changed copy of a photo, uint8, (size, size, 3), RGB, ready for the model."""
        config, rgb = self.config, self._pictures.rgb(photo.sha256)
        if rng.random() < config.identity_prob:
            return self._gently(rgb, rng)
        kind, smallest = rng.random(), config.min_crop
        if kind < config.object_prob:
            if objects := self._objects(photo, rng):
                rgb = compose(self._backdrop(rng), objects, self._others(photo, rng), rng)
                smallest = _MIN_COMPOSED_CROP
        elif kind < config.object_prob + config.canvas_prob:
            rgb = put_photo(rgb, self._backdrop(rng), rng)
        image = random_part(rgb, self.size, rng, smallest)
        rng.random()  # decided about something in earlier versions; the later draws stay the same
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

    def _objects(self, photo: Photo, rng: np.random.Generator) -> list[Cutout]:
        first = self._cutout(photo)
        if first is None or rng.random() >= _SEVERAL:
            return [] if first is None else [first]
        alike = self._of_label[photo.label]
        return several(first, lambda: self._cutout(_any(alike, rng)), _MAX_OBJECTS, rng)

    def _others(self, photo: Photo, rng: np.random.Generator) -> list[Cutout]:
        if not photo.is_product or not self._ordinary or rng.random() >= _WITH_OTHERS:
            return []
        found = [self._cutout(_any(self._ordinary, rng)) for _ in range(int(rng.integers(1, 4)))]
        return [one for one in found if one is not None]

    def _cutout(self, photo: Photo) -> Cutout | None:
        mask = self._pictures.mask(photo.sha256)
        return None if mask is None else cut_out(self._pictures.rgb(photo.sha256), mask)

    def _backdrop(self, rng: np.random.Generator) -> RGB:
        if rng.random() < _PLAIN_BACKDROPS:
            return plain_backdrop(rng)
        return self._pictures.rgb(_any(self._backdrops, rng).sha256)

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
            image = recompress(image, int(rng.integers(25, 96)))
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


def _any(photos: Sequence[Photo], rng: np.random.Generator) -> Photo:
    return photos[int(rng.integers(len(photos)))]
