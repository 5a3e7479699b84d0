"""A cascade: one network looks at every photo, an ensemble only at those that it suspects.

The ensemble is the mean of that network's logits for several views of the photo and of linear heads
on the frozen features of ImageNet networks (the idea is that of Viola and Jones, 2001). The views
count as much as all heads together, which finds more out of fold than the plain mean.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from recognizer.lab.dataset.manifest import Photo
from recognizer.lab.training.cache import PhotoCache
from recognizer.lab.training.config import TrainingConfig
from recognizer.lab.training.head import features_of
from recognizer.lab.training.model import Outputs, ProductNetwork, build_network, log_odds_of

EVENNESS = 0.3
"""How far the products' bars are moved towards equal shares of the photos that pass. Of 0, 0.3, 0.5
and 0.7 it found most out of fold: without it the commonest product's look-alikes fill the gate."""

VIEWS = ((0.125, 0.125, 0.75), (0, 0, 0.65), (0, 0.35, 0.65), (0.35, 0, 0.65), (0.35, 0.35, 0.65))
"""The parts of a suspected photo that are looked at beside the whole and its mirror image: top,
left and side as shares of the input's side."""

_TOGETHER = 16  # photos in a pass
_SHARE_OF_ONE = 0.02  # of the photos without a product, at which products are compared


@dataclass(frozen=True, slots=True)
class Gate:
    """Which photos the ensemble looks at: those of which any log-odds, (labels,), are over a bar.

    Labels that are not products have an infinite bar. For all other photos ``shift`` is taken from
    the first network's logits of products, so that they rank where the ensemble ranks as large a
    share of the photos without a product.
    """

    bars: NDArray[np.float64]
    shift: float

    @property
    def is_product(self) -> NDArray[np.bool_]:
        """Which labels are products, (labels,)."""
        return np.isfinite(self.bars)

    def suspects(self, first: torch.Tensor) -> torch.Tensor:
        """Return which photos the ensemble looks at, (N,), from the first network's logits."""
        return (log_odds_of(first) > torch.from_numpy(self.bars)).any(1)


def set_gate(
    first: torch.Tensor, second: torch.Tensor, is_product: NDArray[np.bool_], share: float
) -> Gate:
    """Return the gate that so large a share of photos without a product passes.

    Takes the logits, (N, labels), of the first network and of the ensemble for such photos, which
    neither has seen.
    """
    odds = log_odds_of(first).numpy().astype(np.float64)[:, is_product]
    level = np.quantile(odds, 1 - _SHARE_OF_ONE, axis=0)
    level = EVENNESS * (level - np.median(level))
    bars = np.full(len(is_product), np.inf)
    bars[is_product] = level + np.quantile((odds - level).max(1), 1 - share)
    ranks = [np.quantile(_any_product(z, is_product), 1 - share) for z in (first, second)]
    return Gate(bars, float(ranks[0] - ranks[1]))


def _any_product(logits: torch.Tensor, is_product: NDArray[np.bool_]) -> NDArray[np.float32]:
    inside, outside = (logits[:, torch.from_numpy(m)] for m in (is_product, ~is_product))
    return (inside.logsumexp(1) - outside.logsumexp(1)).numpy()


def pass_gate(gate: Gate, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the cascade's logits, (N, labels), from those of its parts."""
    products = torch.from_numpy(gate.is_product).float()
    return torch.where(gate.suspects(first)[:, None], second, first - gate.shift * products)


def view_boxes(size: int) -> list[tuple[int, int, int]]:
    """Return top, left and side of the :data:`VIEWS` of an input, in pixels."""
    boxes = []
    for top, left, share in VIEWS:
        side = round(share * size)
        y, x = (min(round(start * size), size - side) for start in (top, left))
        boxes.append((y, x, side))
    return boxes


def views_of(images: torch.Tensor) -> torch.Tensor:
    """Return the mirror image and the parts of inputs, float, (views, N, size, size, 3)."""
    size = images.shape[1]
    views = [images.flip(2).float()]
    for top, left, side in view_boxes(size):
        part = images[:, top : top + side, left : left + side].permute(0, 3, 1, 2).float()
        # Floored, as the file enlarges whole numbers to whole numbers.
        large = functional.interpolate(part, (size, size), mode="bilinear").floor()
        views.append(large.permute(0, 2, 3, 1))
    return torch.stack(views)


class Cascade(nn.Module):
    """A cascade, to be exported; all networks have inputs of one size."""

    def __init__(
        self, first: ProductNetwork, second: Sequence[ProductNetwork], gate: Gate, *, views: bool
    ) -> None:
        super().__init__()
        self.first, self.gate, self.views = first, gate, views
        self.second: Any = nn.ModuleList(second)

    def forward(self, images: torch.Tensor) -> Outputs:
        """Run one batch, uint8 or float, (N, size, size, 3), RGB, 0 to 255."""
        weak: Outputs = self.first(images)
        maps, logits = [], []
        if self.views:
            seen = [weak.logits, *(self.first(view).logits for view in views_of(images))]
            maps = [weak.maps] * weight_of_views(self.second)
            logits = [torch.stack(seen).mean(0)] * weight_of_views(self.second)
        for network in self.second:
            outputs = network(images)
            maps.append(outputs.maps)
            logits.append(outputs.logits)
        strong, combined = torch.stack(maps).mean(0), torch.stack(logits).mean(0)
        chosen = pass_gate(self.gate, weak.logits, combined)
        is_suspected = self.gate.suspects(weak.logits)[:, None, None, None]
        local = torch.where(is_suspected, strong, weak.maps)
        # Their mean stays the logit.
        local = local + (chosen - local.mean((2, 3)))[:, :, None, None]
        return Outputs(chosen, local, weak.embedding)


def weight_of_views(networks: Sequence[nn.Module]) -> int:
    """How often the views count, next to each of the frozen networks: as often as there are."""
    return max(1, len(networks))


def build_ensemble_network(config: TrainingConfig, backbone: str, labels: int) -> ProductNetwork:
    """Return a network with a head of zeros, and ImageNet weights unless the recipe has none."""
    own = msgspec.structs.replace(
        config,
        backbone=backbone,
        weights="none" if config.weights == "none" else "imagenet",
    )
    return build_network(own, labels).eval()


@torch.no_grad()
def ensemble_logits(
    first: ProductNetwork | None,
    networks: Sequence[ProductNetwork],
    photos: Sequence[Photo],
    cache: PhotoCache,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> torch.Tensor:
    """Return the logits of an ensemble for photos as they are served, float32, (N, labels).

    ``first``, in evaluation mode, is the network that looks at several views, if one does.
    """
    parts = []
    if first is not None:
        seen = []
        for begin in range(0, len(photos), _TOGETHER):
            images = torch.from_numpy(cache.squares(photos[begin : begin + _TOGETHER]))
            views = [images.float(), *views_of(images)]
            seen.append(torch.stack([first(view).logits for view in views]).mean(0))
            on_progress(min(begin + _TOGETHER, len(photos)), len(photos))
        parts += [torch.cat(seen).float()] * weight_of_views(networks)
    for network in networks:
        features = torch.from_numpy(features_of(network, photos, cache))
        head = network.head
        parts.append(functional.linear(features, head.weight.flatten(1), head.bias).detach())
    return torch.stack(parts).mean(0)
