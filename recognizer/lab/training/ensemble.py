"""Networks that look at each photo together: a trained one, and others beside it.

The others begin with ImageNet's weights, and keep most of them: that carries further to sources
that no network has seen (docs/experiments.md). With a gate they look only at photos that the first
suspects (the idea is that of Viola and Jones, 2001).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from recognizer.lab.dataset.manifest import Photo
from recognizer.lab.training.cache import PhotoCache
from recognizer.lab.training.head import features_of
from recognizer.lab.training.model import (
    FAR_BELOW,
    Outputs,
    ProductNetwork,
    log_odds_of,
)

_EVENNESS = 0.3  # of bars; without it the look-alikes of the commonest product fill the gate
_SHARE = 0.02  # of the photos without a product, at which products are compared


class Gate(nn.Module):
    """Which photos all networks look at: those of which any log-odds are over a product's bar.

    Of other photos ``shift``, (labels,), is taken from the first network's logits of products, so
    that they rank where the mean of all networks ranks as large a share of photos.
    """

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.bars, self.shift = nn.Buffer(torch.zeros(labels)), nn.Buffer(torch.zeros(labels))

    def forward(self, first: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """Return maps, (N, labels, h, w): the mean of all networks, of what is suspected."""
        is_suspected = (log_odds_of(first.mean(dim=(2, 3))) > self.bars).any(1)
        weak = first - self.shift[:, None, None]
        return torch.where(is_suspected[:, None, None, None], mean, weak)


def set_gate(
    first: torch.Tensor, mean: torch.Tensor, is_product: NDArray[np.bool_], share: float
) -> Gate:
    """Return the gate that a share of photos without a product passes.

    Takes logits of such photos that no network has learned from, (N, labels): the first network's,
    and the mean of all networks'.
    """
    gate, own = Gate(len(is_product)), torch.from_numpy(is_product)
    odds = log_odds_of(first)[:, own]
    level = torch.quantile(odds, 1 - _SHARE, 0)
    level = _EVENNESS * (level - level.median())
    gate.bars.fill_(-FAR_BELOW)
    gate.bars[own] = level + torch.quantile((odds - level).max(1).values, 1 - share)
    ranks = [z[:, own].logsumexp(1) - z[:, ~own].logsumexp(1) for z in (first, mean)]
    gate.shift[own] = torch.stack(ranks).quantile(1 - share, 1).diff().neg()
    return gate


def mean_of(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the mean of networks, of which all but the first count twice.

    On sources that no network has seen they rank better (docs/experiments.md).
    """
    return (parts[0] + 2 * sum(parts[1:])) / (2 * len(parts) - 1)


class Ensemble(nn.Module):
    """The mean of the maps of networks, :func:`mean_of`; the embedding is the first network's."""

    def __init__(self, networks: Sequence[ProductNetwork], gate: Gate | None = None) -> None:
        super().__init__()
        self.networks: Any = nn.ModuleList(networks)
        self.gate = gate

    def forward(self, images: torch.Tensor) -> Outputs:
        """Run one batch, as :meth:`ProductNetwork.forward` does.

        In torch all networks run; the file that is exported spares those behind the gate.
        """
        outputs = [network(images) for network in self.networks]
        maps = mean_of([o.maps for o in outputs])
        if self.gate is not None:
            maps = self.gate(outputs[0].maps, maps)
        return Outputs(maps.mean(dim=(2, 3)), maps, outputs[0].embedding)


def join_networks(
    first: ProductNetwork, others: Sequence[ProductNetwork], gate: Gate | None
) -> nn.Module:
    """Return the network that is served, in evaluation mode."""
    return Ensemble([first, *others], gate).eval() if others else first


@torch.no_grad()
def logits_of(
    networks: Sequence[ProductNetwork],
    photos: Sequence[Photo],
    cache: PhotoCache,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> torch.Tensor:
    """Return the logits of networks for photos as served, (networks, N, labels)."""
    features = [features_of(own, photos, cache, on_progress=on_progress) for own in networks]
    pairs = zip(map(torch.from_numpy, features), networks, strict=True)
    return torch.stack([functional.linear(own, *network.linear_head) for own, network in pairs])
