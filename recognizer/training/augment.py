"""What training does to a photo before the model sees it.

Museum photos show the product on grey paper, listings show it in hands and on carpets. So half of
the objects that can be cut out are put on other pictures, and every photo is cropped, turned,
recoloured and damaged as platforms and phones damage photos. Every draw depends on the given
generator alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from recognizer.imaging import model_input
from recognizer.training.alterations import (
    lose_resolution,
    plain_backdrop,
    put_object,
    put_photo,
    write_across,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from recognizer.training.config import AugmentConfig

    Picture = NDArray[np.uint8]


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
