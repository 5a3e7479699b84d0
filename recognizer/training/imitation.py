"""Imitate what frozen networks see, so that training keeps what ImageNet taught.

A second, linear output, in training only, repeats the features that several frozen networks have of
a photo. It sees those photos that are hardly changed (``augment.plain``). It begins as a ridge
regression on the network's own frozen features: begun at random it would do harm.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import timm
import torch
from torch import nn
from torch.nn import functional

from recognizer.training.frozen import compute_features
from recognizer.training.model import ProductNetwork, build_network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from recognizer.dataset.manifest import Photo
    from recognizer.training.config import TrainingConfig
    from recognizer.training.runs import Progress

COMPONENTS = 512
"""Principal components of the features of all networks that are imitated, at most."""

_PENALTY = 0.003
_FLOOR = 0.3  # no component is scaled by less than this share of the largest deviation


class Imitation:
    """The goals of a run's photos, and the output that is to meet them.

    Args:
        network: with the weights that it begins with, in evaluation mode.
        config: its recipe, with ``imitate``.
        photos: of the training split; patches have no goal.
        path: of the store of features.
        on_progress: called about once a second.
    """

    def __init__(
        self,
        network: ProductNetwork,
        config: TrainingConfig,
        photos: Sequence[Photo],
        path: Path,
        on_progress: Callable[[Progress], None],
    ) -> None:
        whole = [i for i, photo in enumerate(photos) if not photo.is_patch]
        used = [photos[i] for i in whole]
        own = compute_features(network, config, used, path, on_progress)[0]
        seen = []
        for teacher in (_recipe_of(config, name) for name in config.imitate):
            frozen = build_network(teacher, 2).eval()
            seen.append(compute_features(frozen, teacher, used, path, on_progress)[0])
        goals = torch.from_numpy(_principal(np.concatenate(seen, 1)))
        self.goals = torch.zeros(len(photos), goals.shape[1])
        self.goals[whole] = goals
        self.output = nn.Linear(own.shape[1], goals.shape[1])
        weight, bias = _ridge(torch.from_numpy(own), goals)
        with torch.no_grad():
            self.output.weight.copy_(weight.T)
            self.output.bias.copy_(bias)

    def loss(self, embedding: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Return the mean square by which goals are missed.

        Args:
            embedding: float, (N, channels).
            places: int64, (N,): of each image among the photos; -1 where there is no goal.
        """
        known = places >= 0
        if not known.any():
            return embedding.new_zeros(())
        goals = self.goals[places[known].cpu()].to(embedding.device)
        missed = functional.mse_loss(self.output(embedding[known].float()), goals)
        return missed * known.float().mean()


def _recipe_of(config: TrainingConfig, backbone: str) -> TrainingConfig:
    """Return the recipe by which a frozen network sees photos at its own size."""
    found = timm.models.get_pretrained_cfg(backbone)
    size = found.input_size[-1] if found is not None else config.input_size
    weights = config.weights if config.weights in {"none", "package", "timm"} else "imagenet"
    return replace(config, backbone=backbone, weights=weights, input_size=size, freeze_stages=0)


def _principal(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the first principal components of standardised features, scaled to be alike."""
    x = torch.from_numpy((features - features.mean(0)) / (features.std(0) + 1e-6))
    vectors = torch.linalg.eigh(x.T @ x)[1].flip(1)[:, : min(COMPONENTS, len(x))]
    found = x @ vectors
    deviation = found.std(0)
    return np.asarray((found / deviation.clamp(min=_FLOOR * float(deviation.max()))).numpy())


def _ridge(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight, (inputs, outputs), and bias of a ridge regression."""
    mean, goal = x.mean(0), y.mean(0)
    centred = x - mean
    gram = centred.T @ centred
    gram.diagonal().add_(_PENALTY * float(gram.diagonal().mean()) + 1e-6)
    weight = torch.linalg.solve(gram, centred.T @ (y - goal))
    return weight, goal - mean @ weight
