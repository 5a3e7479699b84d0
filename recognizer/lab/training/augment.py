"""Random changes of training photos.

Museum photos show one object on gray paper; sellers show it in front of anything, in collages and
under text, and phones and platforms turn, tint, shrink, blur and recompress photos. Products and
look-alikes are changed alike, so that none of it is a clue. Every draw depends only on the given
generator: what torchvision does is called with values that were drawn here.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2 import functional as vision

from recognizer.lab.dataset.manifest import BACKDROP_LABELS, Photo
from recognizer.lab.training import edits
from recognizer.lab.training.cache import PhotoCache
from recognizer.lab.training.config import SHARES, AugmentConfig
from recognizer.lab.training.edits import RGB

_MIN_COMPOSED_CROP = 0.7  # a photo in a larger image may be small: a crop must not lose it
_MAX_CUT = 0.1  # share of a side that is cut off a photo that is hardly changed
_PLAIN_BACKDROPS = 0.35  # share of the backdrops that are studio paper instead of a photo
_ALIKE = 0.3  # how often another cell of a product's collage shows one of its kind
_RECOLORED, _CONTRAST, _TINT = 0.8, 0.35, 0.05

OVERLAYS: dict[str, Callable[[RGB, np.random.Generator], RGB]] = {
    "text": edits.write_text,
    "watermark": edits.watermark,
}

_LAYOUT = ("collage", "frame", "screenshot")
_POSE = ("quarter", "tilt", "free", "perspective")
_DAMAGE = ("hue", "cast", "gray", "posterize", "shrink", "blur", "noise", "erase")
_JPEG, _WEBP, _HARSH_JPEG = 0.75, 0.08, 0.1
_MIN_SHRUNK, _MAX_SHRUNK = 96, 264  # pixels to which photos are reduced, as platforms store them


class Augmentation:
    """The changes of one recipe for one set of training photos.

    Backdrops and the other photos of collages are of these, too; ``size`` is the side of the
    model's input in pixels.
    """

    def __init__(
        self, config: AugmentConfig, size: int, photos: Sequence[Photo], cache: PhotoCache
    ) -> None:
        self.config, self.size, self._pictures = config, size, cache
        self._shares = {**SHARES, **config.shares}
        self._backdrops = [p for p in photos if p.label in BACKDROP_LABELS] or list(photos)
        self._of_label = defaultdict[str, list[Photo]](list)
        for photo in photos:
            self._of_label[photo.label].append(photo)
        self._ordinary = [p for p in photos if not p.is_product]

    def __call__(self, photo: Photo, rng: np.random.Generator) -> RGB:
        """Return a changed copy of a photo, uint8, (size, size, 3), RGB, ready for the model."""
        config, rgb = self.config, self._pictures.rgb(photo.sha256)
        if rng.random() < config.identity_prob:
            return _recompress(self._gently(rgb, rng), rng)
        rgb, smallest = self._scene(photo, rgb, rng)
        poses = self._drawn(_POSE, rng)
        image = _recolor(random_part(rgb, self.size, rng, smallest, poses), rng)
        for name, edit in OVERLAYS.items():
            if self._drawn([name], rng):
                image = edit(image, rng)
        return _recompress(self._damage(image, rng), rng)

    def _scene(self, photo: Photo, rgb: RGB, rng: np.random.Generator) -> tuple[RGB, float]:
        """Put a photo into a larger picture; return it and the smallest share that a crop keeps."""
        config, kind = self.config, rng.random()
        if kind < config.canvas_prob:
            is_plain = rng.random() < _PLAIN_BACKDROPS
            backdrop = edits.plain_backdrop(rng) if is_plain else self._any(self._backdrops, rng)
            return edits.put_photo(rgb, backdrop, rng), config.min_crop
        chosen = rng.random()
        for name in _LAYOUT:
            if 0 <= chosen < self._shares[name]:
                return self._laid_out(photo, rgb, name, rng), _MIN_COMPOSED_CROP
            chosen -= self._shares[name]
        return rgb, config.min_crop

    def _drawn(self, names: Sequence[str], rng: np.random.Generator) -> set[str]:
        """Return the edits of a list that a photo meets."""
        drawn = zip(names, rng.random(len(names)), strict=True)
        return {name for name, value in drawn if value < self._shares[name]}

    def _laid_out(self, photo: Photo, rgb: RGB, name: str, rng: np.random.Generator) -> RGB:
        if name == "frame":
            return edits.frame(rgb, rng)
        if name == "screenshot":
            return edits.screenshot(rgb, rng)
        shape = edits.LAYOUTS[rng.choice(len(edits.LAYOUTS), p=edits.LAYOUT_WEIGHTS)]
        cells = [rgb]
        while len(cells) < shape[0] * shape[1]:
            alike = photo.is_product and rng.random() < _ALIKE
            pool = self._of_label[photo.label] if alike else self._ordinary or [photo]
            cells.append(self._any(pool, rng))
        return edits.collage(cells, shape, rng)

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

    def _any(self, photos: Sequence[Photo], rng: np.random.Generator) -> RGB:
        return self._pictures.rgb(photos[int(rng.integers(len(photos)))].sha256)

    def _damage(self, image: RGB, rng: np.random.Generator) -> RGB:
        """Lose color, sharpness, resolution or a part, as platforms and phones do."""
        done = self._drawn(_DAMAGE, rng)
        pixels = _tensor(image)
        if "hue" in done:
            pixels = vision.adjust_hue(pixels, rng.uniform(-0.5, 0.5))
        if "cast" in done:
            gain = torch.from_numpy(rng.uniform(0.6, 1.25, (3, 1, 1)).astype(np.float32))
            pixels = (pixels * gain).clamp(0, 255).to(torch.uint8)
        if "gray" in done:
            pixels = vision.rgb_to_grayscale(pixels, num_output_channels=3)
        if "posterize" in done:
            pixels = vision.posterize(pixels, int(rng.integers(2, 6)))
        if "shrink" in done:
            side = round(float(rng.uniform(_MIN_SHRUNK, _MAX_SHRUNK)) * self.size / _MAX_SHRUNK)
            pixels = vision.resize(vision.resize(pixels, [side, side]), [self.size, self.size])
        if "blur" in done:
            sigma = math.exp(rng.uniform(math.log(0.4), math.log(4.0)))
            pixels = vision.gaussian_blur(pixels, [2 * math.ceil(2.5 * sigma) + 1] * 2, [sigma] * 2)
        image = _array(pixels)
        if "noise" in done:
            noise = rng.standard_normal(image.shape, np.float32) * rng.uniform(3, 14)
            image = (image + noise).clip(0, 255).astype(np.uint8)
        if "erase" in done:
            reach = self.size * math.sqrt(rng.uniform(0.02, 0.15))
            ratio = math.sqrt(_log_uniform(rng, 2.5))
            high, wide = (min(self.size - 1, round(s)) for s in (reach * ratio, reach / ratio))
            top, left = rng.integers(self.size - high), rng.integers(self.size - wide)
            image = image.copy()
            image[top : top + high, left : left + wide] = rng.integers(0, 256, 3)
        return np.ascontiguousarray(image)


def random_part(
    rgb: RGB, size: int, rng: np.random.Generator, min_area: float, poses: Collection[str]
) -> RGB:
    """Return a random part of a photo, perhaps mirrored and turned, uint8, (size, size, 3).

    ``min_area`` is the smallest share of the area that it keeps; ``poses`` are the ways in which it
    is turned.
    """
    height, width = rgb.shape[:2]
    area, ratio = rng.uniform(min_area, 1.0) * height * width, _log_uniform(rng, 1.67)
    wide, high = min(width, math.sqrt(area * ratio)), min(height, math.sqrt(area / ratio))
    left, top = rng.uniform(0, width - wide), rng.uniform(0, height - high)
    if rng.random() < 0.5:
        rgb, left = rgb[:, ::-1], width - wide - left
    if "tilt" in poses or "free" in poses:
        most = 180.0 if "free" in poses else 20.0
        image = _turned(rgb, (left, top, wide, high), size, rng.uniform(-most, most), rng)
    else:
        image = _resize(rgb[int(top) : int(top + high), int(left) : int(left + wide)], size, rng)
    if "perspective" in poses:
        corners = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float64)
        moved = corners + rng.uniform(-0.12, 0.12, (4, 2)) * size
        fill, ends = [float(rng.integers(256))] * 3, (corners.tolist(), moved.tolist())
        image = _array(vision.perspective(_tensor(image), *ends, fill=fill))
    return np.rot90(image, int(rng.integers(1, 4))) if "quarter" in poses else image


def _turned(
    rgb: RGB, box: Sequence[float], size: int, degrees: float, rng: np.random.Generator
) -> RGB:
    """Return a part of a photo (left, top, width, height), turned, as a square."""
    left, top, wide, high = box
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = turn * [[wide, high], [wide, high]] / size  # from the result to the photo
    shift = np.array([left + wide / 2, top + high / 2]) - matrix.sum(1) * size / 2
    matrix = np.column_stack([matrix, shift])
    borders = (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101, cv2.BORDER_CONSTANT)
    border = borders[int(rng.integers(3))]
    fill = [float(rng.choice([0, 255, int(rng.integers(256))]))] * 3
    photo, flags = np.ascontiguousarray(rgb), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    turned = cv2.warpAffine(photo, matrix, (size, size), None, flags, border, fill)
    return np.asarray(turned, np.uint8)


def _recompress(image: RGB, rng: np.random.Generator) -> RGB:
    """Store an image as a platform does, at any usual quality; now and then far below it."""
    kind = rng.random()
    if kind < _JPEG + _HARSH_JPEG:
        low, high = (50, 96) if kind < _JPEG else (8, 50)
        return _array(vision.jpeg(_tensor(image), int(rng.integers(low, high))))
    if kind < _JPEG + _HARSH_JPEG + _WEBP:
        options = [cv2.IMWRITE_WEBP_QUALITY, int(rng.integers(40, 96))]
        _, data = cv2.imencode(".webp", image[..., ::-1], options)
        return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1])
    return np.ascontiguousarray(image)


def _tensor(image: RGB) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)


def _array(pixels: torch.Tensor) -> RGB:
    return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())


def _recolor(image: RGB, rng: np.random.Generator) -> RGB:
    if rng.random() >= _RECOLORED:
        return image
    saturation, contrast, light = rng.uniform(1 - _CONTRAST, 1 + _CONTRAST, 3)
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    image = np.asarray(cv2.addWeighted(image, saturation, gray, 1 - saturation, 0), np.uint8)
    middle = float(image[::8, ::8].mean())
    levels = (np.arange(256)[:, None] - middle) * contrast + middle
    return _map_levels(image, levels * light * rng.normal(1, _TINT, 3))


def _map_levels(image: RGB, levels: NDArray[np.floating]) -> RGB:
    """Return an image with other values of each channel: ``levels``, (256, 3)."""
    return np.asarray(cv2.LUT(image, levels.clip(0, 255).astype(np.uint8)[None]), np.uint8)


def _resize(rgb: RGB, size: int, rng: np.random.Generator) -> RGB:
    # A JPEG that is decoded at reduced size is smooth, one at full size is not.
    method = cv2.INTER_AREA if rng.random() < 0.5 else cv2.INTER_LINEAR
    resized = cv2.resize(np.ascontiguousarray(rgb), (size, size), interpolation=method)
    return np.asarray(resized, np.uint8)


def _log_uniform(rng: np.random.Generator, largest: float) -> float:
    return math.exp(rng.uniform(-math.log(largest), math.log(largest)))
