"""A cascade: one network looks at every photo, an ensemble only at those that it suspects.

The ensemble is the mean of its logits and of those of linear heads on the frozen features of
ImageNet networks (the idea is that of Viola and Jones, 2001).
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
from recognizer.lab.training.model import ProductNetwork, build_network, log_odds_of

EVENNESS = 0.3
"""How far the products' bars are moved towards equal shares of the photos that pass. Of 0, 0.3, 0.5
and 0.7 it found most out of fold: without it the commonest product's look-alikes fill the gate."""

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
    own = torch.from_numpy(is_product)
    any_product = [z[:, own].logsumexp(1) - z[:, ~own].logsumexp(1) for z in (first, second)]
    ranks = [np.quantile(z.numpy(), 1 - share) for z in any_product]
    return Gate(bars, float(ranks[0] - ranks[1]))


def pass_gate(gate: Gate, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the cascade's logits, (N, labels), from those of its parts."""
    products = torch.from_numpy(gate.is_product).float()
    return torch.where(gate.suspects(first)[:, None], second, first - gate.shift * products)


class Cascade(nn.Module):
    """A cascade, to be exported; all networks have inputs of one size."""

    def __init__(self, first: ProductNetwork, second: Sequence[ProductNetwork], gate: Gate) -> None:
        super().__init__()
        self.first, self.gate = first, gate
        self.second: Any = nn.ModuleList(second)


def build_ensemble_network(config: TrainingConfig, backbone: str, labels: int) -> ProductNetwork:
    """Return a network with a head of zeros, and ImageNet weights unless the recipe has none."""
    own = msgspec.structs.replace(
        config,
        backbone=backbone,
        weights="none" if config.weights == "none" else "imagenet",
        reduced_size=0,
    )
    return build_network(own, labels).eval()


@torch.no_grad()
def frozen_logits(
    networks: Sequence[ProductNetwork], photos: Sequence[Photo], cache: PhotoCache
) -> torch.Tensor:
    """Return the logits of each network for photos as served, float32, (networks, N, labels)."""
    heads = [(network.head.weight.flatten(1), network.head.bias) for network in networks]
    return teacher_logits(networks, heads, photos, cache)


@torch.no_grad()
def teacher_logits(
    networks: Sequence[ProductNetwork],
    heads: Sequence[Any],
    photos: Sequence[Photo],
    cache: PhotoCache,
) -> torch.Tensor:
    """Return the same by other heads, each a weight, (labels, channels), and a bias, (labels,)."""
    features = [torch.from_numpy(features_of(own, photos, cache)) for own in networks]
    return torch.stack([functional.linear(f, *h) for f, h in zip(features, heads, strict=True)])


@torch.no_grad()
def torch_log_odds(
    network: ProductNetwork | Cascade, logits_of: Callable[..., torch.Tensor], *given: Any
) -> NDArray[np.float32]:
    """Return log-odds, float32, (N, labels), by the logits of a network, or of all in a cascade."""
    if isinstance(network, Cascade):
        logits = torch.stack([logits_of(one, *given) for one in (network.first, *network.second)])
        return log_odds_of(pass_gate(network.gate, logits[0], logits.mean(0))).numpy()
    return log_odds_of(logits_of(network, *given)).numpy()
