"""Random changes of training photos.

Museum photos show the product on grey paper, listings show it in hands and on carpets. So half of
the objects that can be cut out are put on other pictures, and every photo is cropped, rotated,
recoloured and damaged as platforms and phones damage photos. Every draw depends only on the given
generator.
"""

from __future__ import annotations

from dataclasses import dataclass
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

    Picture = NDArray[np.uint8]

_GENTLEST_CROP = 0.7
"""Smallest crop of a composed picture: its objects may be small, and a crop must not lose them."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The chain of changes for one configuration.

    Attributes:
        config: how strong each change is.
        size: side of the model's input in pixels.
        backdrop: draws a picture to put things on, uint8, (height, width, 3), RGB.
    """

    config: AugmentConfig
    size: int
    backdrop: Callable[[np.random.Generator], Picture]

    def __call__(
        self,
        rgb: Picture,
        rng: np.random.Generator,
        objects: Sequence[Cutout] = (),
        others: Sequence[Cutout] = (),
    ) -> Picture:
        """Return a changed copy, uint8, (size, size, 3), RGB, ready for the model.

        Args:
            rgb: uint8, (height, width, 3), RGB.
            rng: source of every random draw.
            objects: if not empty, they are laid on another picture and the photo is not shown.
            others: other things on that picture.
        """
        if objects:
            rgb = compose(self._some_backdrop(rng), objects, others, rng)
        elif rng.random() < self.config.canvas:
            rgb = put_photo(rgb, self._some_backdrop(rng), rng)
        if rng.random() < self.config.watermark:
            rgb = write_across(rgb, rng)
        rgb = self._transform(rgb, rng, _GENTLEST_CROP if objects else 0.0)
        if rng.random() < self.config.downscale:
            rgb = lose_resolution(rgb, rng)
        return model_input(rgb, self.size)

    def _some_backdrop(self, rng: np.random.Generator) -> Picture:
        return plain_backdrop(rng) if rng.random() < 0.35 else self.backdrop(rng)

    def _transform(self, rgb: Picture, rng: np.random.Generator, min_crop: float) -> Picture:
        chain = _torchvision_chain(self.config, self.size, max(self.config.min_crop, min_crop))
        # torchvision draws from torch's global generator.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**62)))
            image = tv_tensors.Image(torch.tensor(rgb).permute(2, 0, 1))
            return np.ascontiguousarray(chain(image).permute(1, 2, 0).numpy())


_chains: dict[tuple[AugmentConfig, int, float], v2.Transform] = {}


def _torchvision_chain(config: AugmentConfig, size: int, min_crop: float) -> v2.Transform:
    if (config, size, min_crop) not in _chains:
        _chains[config, size, min_crop] = v2.Compose(
            [
                v2.RandomApply(
                    [
                        v2.RandomRotation(
                            config.max_degrees, v2.InterpolationMode.BILINEAR, fill=127
                        )
                    ],
                    config.rotate,
                ),
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
    return _chains[config, size, min_crop]


class _Noise(v2.Transform):  # type: ignore[misc]
    """Sensor noise on 8-bit pictures (torchvision's own wants floating point)."""

    def transform(self, inpt: torch.Tensor, params: dict[str, object]) -> torch.Tensor:  # noqa: ARG002
        sigma = float(torch.empty(1).uniform_(3, 14))
        noisy = inpt.float() + torch.randn(inpt.shape) * sigma
        return noisy.round().clamp(0, 255).to(torch.uint8)
