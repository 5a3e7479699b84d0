"""Random changes of training photos.

Museum photos show the product on grey paper, listings show it in hands and on carpets. So half of
the objects that can be cut out are put on other photos, and every photo is cropped, rotated,
recoloured and damaged as platforms and phones damage photos. Every draw depends only on the given
generator.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from recognizer.dataset.alterations import (
    lose_resolution,
    plain_backdrop,
    put_photo,
    write_across,
)
from recognizer.dataset.compose import compose
from recognizer.imaging import model_input

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from recognizer.dataset.cutout import Cutout
    from recognizer.training.config import AugmentConfig

    RGB = NDArray[np.uint8]

_MIN_COMPOSED_CROP = 0.7
"""Smallest crop of a composed image: its objects may be small, and a crop must not lose them."""


_MAX_CUT = 0.1
"""Share of a side that is cut off a photo that is hardly changed."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The chain of changes for one configuration.

    Attributes:
        config: how strong each change is.
        size: side of the model's input in pixels.
        backdrop: draws a photo to put things on, uint8, (height, width, 3), RGB.
    """

    config: AugmentConfig
    size: int
    backdrop: Callable[[np.random.Generator], RGB]

    def __call__(
        self,
        rgb: RGB,
        rng: np.random.Generator,
        objects: Sequence[Cutout] = (),
        others: Sequence[Cutout] = (),
    ) -> RGB:
        """Return a changed copy, uint8, (size, size, 3), RGB, ready for the model.

        Args:
            rgb: uint8, (height, width, 3), RGB.
            rng: source of every random draw.
            objects: if not empty, they are laid on another photo and ``rgb`` is not shown.
            others: other things on that photo.
        """
        if objects:
            rgb = compose(self._some_backdrop(rng), objects, others, rng)
        elif rng.random() < self.config.canvas:
            rgb = put_photo(rgb, self._some_backdrop(rng), rng)
        if rng.random() < self.config.watermark:
            rgb = write_across(rgb, rng)
        rgb = self._transform(rgb, rng, _MIN_COMPOSED_CROP if objects else 0.0)
        if rng.random() < self.config.downscale:
            rgb = lose_resolution(rgb, rng)
        return model_input(rgb, self.size)

    def gently(self, rgb: RGB, rng: np.random.Generator) -> RGB:
        """Return a copy that is hardly changed, uint8, (size, size, 3), RGB, ready for the model.

        Args:
            rgb: uint8, (height, width, 3), RGB.
            rng: source of every random draw.
        """
        height, width = rgb.shape[:2]
        cut = rng.uniform(0, _MAX_CUT, 4) * [height, height, width, width]
        top, bottom, left, right = cut.astype(int)
        rgb = rgb[top : height - bottom, left : width - right]
        if rng.random() < 0.5:
            rgb = rgb[:, ::-1]
        if rng.random() < 0.7:
            gain = rng.normal(1, 0.06, 3) * rng.uniform(0.8, 1.2)
            rgb = (rgb * gain + rng.uniform(-15, 15)).clip(0, 255).astype(np.uint8)
        return model_input(np.ascontiguousarray(rgb), self.size)

    def _some_backdrop(self, rng: np.random.Generator) -> RGB:
        return plain_backdrop(rng) if rng.random() < 0.35 else self.backdrop(rng)

    def _transform(self, rgb: RGB, rng: np.random.Generator, min_crop: float) -> RGB:
        chain = _chain(self.config, self.size, max(self.config.min_crop, min_crop))
        # torchvision draws from torch's global generator.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**62)))
            image = tv_tensors.Image(torch.tensor(rgb).permute(2, 0, 1))
            return np.ascontiguousarray(chain(image).permute(1, 2, 0).numpy())


@cache
def _chain(config: AugmentConfig, size: int, min_crop: float) -> v2.Transform:
    rotation = v2.RandomRotation(config.max_degrees, v2.InterpolationMode.BILINEAR, fill=127)
    return v2.Compose(
        [
            v2.RandomApply([rotation], config.rotate),
            v2.RandomResizedCrop(size, (min_crop, 1.0), (0.6, 1.67), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.35, 0.35, 0.35, 0.03)], config.color),
            v2.RandomGrayscale(config.gray),
            v2.RandomApply([v2.GaussianBlur(7, (0.3, 2.0))], config.blur),
            v2.RandomApply([_Noise()], config.noise),
            v2.RandomApply([v2.JPEG((25, 95))], config.jpeg),
            v2.RandomErasing(config.erase, (0.02, 0.15), value=127),
        ]
    )


class _Noise(v2.Transform):  # type: ignore[misc]
    """Sensor noise on 8-bit images (torchvision's own takes floating point)."""

    def transform(self, inpt: torch.Tensor, params: dict[str, object]) -> torch.Tensor:  # noqa: ARG002
        sigma = float(torch.empty(1).uniform_(3, 14))
        noisy = inpt.float() + torch.randn(inpt.shape) * sigma
        return noisy.round().clamp(0, 255).to(torch.uint8)
