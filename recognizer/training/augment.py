"""What training does to a photo before the model sees it.

Museum photos show the product on grey paper, listings show it in hands and on carpets. So half of
the objects that can be cut out are put on other pictures, and every photo is cropped, turned,
recoloured and damaged as platforms and phones damage photos. Every draw depends on the given
generator alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from recognizer.imaging import model_input

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from recognizer.training.config import AugmentConfig

    Picture = NDArray[np.uint8]

_WORDS = ("FOR SALE", "price in description", "(c) 2024", "SHOP", "no reserve", "DM me", "original")


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The chain of changes for one configuration.

    Attributes:
        config: how strong each change is.
        size: side of the model's input in pixels.
        backdrop: gives a picture to put things on, uint8 (height, width, 3) RGB.
    """

    config: AugmentConfig
    size: int
    backdrop: Callable[[np.random.Generator], Picture]

    def __call__(self, rgb: Picture, mask: Picture | None, rng: np.random.Generator) -> Picture:
        """Return a changed copy, ready for the model.

        Args:
            rgb: uint8, (height, width, 3), RGB.
            mask: where the object is (see :mod:`recognizer.training.cutout`), for an object that
                is to be put on another background; None leaves it where it is.
            rng: source of every random draw.

        Returns:
            uint8, (size, size, 3), RGB.
        """
        if mask is not None:
            rgb = put_object(rgb, mask, self._some_backdrop(rng), rng)
        if rng.random() < self.config.canvas:
            rgb = put_photo(rgb, self._some_backdrop(rng), rng)
        if rng.random() < self.config.watermark:
            rgb = write_across(rgb, rng)
        rgb = self._transform(rgb, rng)
        if rng.random() < self.config.downscale:
            rgb = lose_resolution(rgb, rng)
        return model_input(rgb, self.size)

    def _some_backdrop(self, rng: np.random.Generator) -> Picture:
        return plain_backdrop(rng) if rng.random() < 0.35 else self.backdrop(rng)

    def _transform(self, rgb: Picture, rng: np.random.Generator) -> Picture:
        chain = _torchvision_chain(self.config, self.size)
        # torchvision draws from torch's global generator: give it a state of its own for this call.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**62)))
            image = tv_tensors.Image(torch.from_numpy(rgb).permute(2, 0, 1))
            return np.ascontiguousarray(chain(image).permute(1, 2, 0).numpy())


_chains: dict[tuple[AugmentConfig, int], v2.Transform] = {}


def _torchvision_chain(config: AugmentConfig, size: int) -> v2.Transform:
    if (config, size) not in _chains:
        _chains[config, size] = v2.Compose(
            [
                v2.RandomApply(
                    [
                        v2.RandomRotation(
                            config.max_degrees, v2.InterpolationMode.BILINEAR, fill=127
                        )
                    ],
                    config.rotate,
                ),
                v2.RandomResizedCrop(size, (config.min_crop, 1.0), (0.6, 1.67), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.RandomApply([v2.ColorJitter(0.35, 0.35, 0.35, 0.03)], config.color),
                v2.RandomGrayscale(config.gray),
                v2.RandomApply([v2.GaussianBlur(7, (0.3, 2.0))], config.blur),
                v2.RandomApply([_Noise()], config.noise),
                v2.RandomApply([v2.JPEG((25, 95))], config.jpeg),
                v2.RandomErasing(config.erase, (0.02, 0.15), value=127),
            ]
        )
    return _chains[config, size]


class _Noise(v2.Transform):  # type: ignore[misc]
    """Sensor noise on 8-bit pictures (torchvision's own wants floating point)."""

    def transform(self, inpt: torch.Tensor, params: dict[str, object]) -> torch.Tensor:  # noqa: ARG002
        sigma = float(torch.empty(1).uniform_(3, 14))
        noisy = inpt.float() + torch.randn(inpt.shape) * sigma
        return noisy.round().clamp(0, 255).to(torch.uint8)


def plain_backdrop(rng: np.random.Generator, side: int = 288) -> Picture:
    """Return a plain colour or a gentle gradient with a little grain: studio paper, dark cloth."""
    if rng.random() < 0.6:  # near grey, as studios have it
        first = np.full(3, rng.uniform(0, 255)) + rng.normal(0, 8, 3)
    else:
        first = rng.uniform(0, 255, 3)
    last = first + rng.normal(0, 30) + rng.normal(0, 6, 3)
    along = np.linspace(0, 1, side)[:, None, None]
    picture = np.broadcast_to(first * (1 - along) + last * along, (side, side, 3))
    if rng.random() < 0.5:
        picture = picture.swapaxes(0, 1)
    grain = rng.normal(0, rng.uniform(0.5, 6), (side, side, 1))
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def put_object(rgb: Picture, mask: Picture, backdrop: Picture, rng: np.random.Generator) -> Picture:
    """Cut the object out and put it somewhere on a backdrop, at some size.

    Args:
        rgb: uint8, (height, width, 3), RGB.
        mask: uint8, any smaller size of the same shape, 255 on the object.
        backdrop: uint8, (height, width, 3), RGB; its size is that of the result.
        rng: source of every random draw.
    """
    height, width = rgb.shape[:2]
    soft = cv2.GaussianBlur(cv2.resize(mask, (width, height)), (0, 0), 1.2)
    rows, columns = np.flatnonzero(soft.max(axis=1)), np.flatnonzero(soft.max(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    cut, soft = rgb[top:bottom, left:right], soft[top:bottom, left:right]
    full_height, full_width = backdrop.shape[:2]
    share = rng.uniform(0.35, 1.0)
    scale = share * min(full_height / cut.shape[0], full_width / cut.shape[1])
    size = (max(2, int(cut.shape[1] * scale)), max(2, int(cut.shape[0] * scale)))
    shrunk, weight = cv2.resize(cut, size, interpolation=cv2.INTER_AREA), cv2.resize(soft, size)
    y = int(rng.integers(full_height - size[1] + 1))
    x = int(rng.integers(full_width - size[0] + 1))
    result = backdrop.copy()
    place = result[y : y + size[1], x : x + size[0]]
    opacity = weight[..., None].astype(np.float32) / 255
    place[:] = np.rint(shrunk * opacity + place * (1 - opacity)).astype(np.uint8)
    return result


def put_photo(rgb: Picture, backdrop: Picture, rng: np.random.Generator) -> Picture:
    """Put the whole photo, smaller, on a backdrop: a collage, a screenshot, a photo of a photo."""
    height, width = rgb.shape[:2]
    scale = rng.uniform(0.5, 0.95)
    canvas = cv2.resize(backdrop, (width, height), interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    y = int(rng.integers(height - small.shape[0] + 1))
    x = int(rng.integers(width - small.shape[1] + 1))
    canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
    return np.asarray(canvas, np.uint8)


def write_across(rgb: Picture, rng: np.random.Generator) -> Picture:
    """Write a seller's line of text across the photo."""
    height, width = rgb.shape[:2]
    words = _WORDS[int(rng.integers(len(_WORDS)))]
    scale = width / 250 * rng.uniform(0.6, 1.4)
    place = (int(rng.uniform(0, 0.5) * width), int(rng.uniform(0.15, 0.95) * height))
    color = [int(v) for v in rng.choice([0, 255], 3)]
    written = cv2.putText(
        rgb.copy(),
        words,
        place,
        cv2.FONT_HERSHEY_SIMPLEX,
        scale,
        color,
        1 + int(scale),
        cv2.LINE_AA,
    )
    return np.asarray(cv2.addWeighted(rgb, 0.4, written, 0.6, 0), np.uint8)


def lose_resolution(rgb: Picture, rng: np.random.Generator) -> Picture:
    """Shrink the photo; the model's resize brings it back, softer."""
    scale = rng.uniform(0.3, 0.8)
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)
