"""Networks that look at each photo together: a trained one, and ImageNet's with heads of ours.

A trained network finds what it has photos of, a linear head on frozen features carries further to
what it has few photos of, or rendered pictures alone (docs/experiments.md).
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import torch
from torch import nn
from torch.nn import functional

from recognizer.lab.dataset.manifest import Photo
from recognizer.lab.training.cache import PhotoCache
from recognizer.lab.training.config import TrainingConfig
from recognizer.lab.training.head import features_of
from recognizer.lab.training.model import Head, Outputs, ProductNetwork, build_network


class Ensemble(nn.Module):
    """The mean of the logits and maps of networks; the embedding is the first one's."""

    def __init__(self, networks: Sequence[ProductNetwork]) -> None:
        super().__init__()
        self.networks: Any = nn.ModuleList(networks)

    def forward(self, images: torch.Tensor) -> Outputs:
        """Run one batch, as :meth:`ProductNetwork.forward` does."""
        outputs = [network(images) for network in self.networks]
        logits, maps = (torch.stack([o[i] for o in outputs]).mean(0) for i in range(2))
        return Outputs(logits, maps, outputs[0].embedding)


def build_frozen_network(config: TrainingConfig, backbone: str, labels: int) -> ProductNetwork:
    """Return a network with a head of zeros, and ImageNet weights unless the recipe has none."""
    own = msgspec.structs.replace(
        config, backbone=backbone, weights="none" if config.weights == "none" else "imagenet"
    )
    return build_network(own, labels).eval()


def join_networks(first: ProductNetwork, frozen: Sequence[ProductNetwork]) -> nn.Module:
    """Return the network that is served, in evaluation mode."""
    return Ensemble([first, *frozen]).eval() if frozen else first


@torch.no_grad()
def logits_of_heads(
    networks: Sequence[ProductNetwork],
    heads: Sequence[Head],
    photos: Sequence[Photo],
    cache: PhotoCache,
) -> torch.Tensor:
    """Return what heads on frozen networks say of photos as served, (networks, N, labels)."""
    features = [torch.from_numpy(features_of(own, photos, cache)) for own in networks]
    return torch.stack([functional.linear(f, *h) for f, h in zip(features, heads, strict=True)])
