"""A linear probe: what a linear head makes of the features that fine-tuning would have bent.

A network that is fine-tuned on a few sources, under strong augmentation, forgets part of what it
knew of everything else. A logistic regression on its pre-trained features forgets nothing, fits the
photos as they are, and does better where there are few of them ("Fine-tuning can distort pretrained
features and underperform out-of-distribution", Kumar et al., 2022). The network that is exported
has both (:func:`recognizer.training.model.join_branches`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from recognizer.training.loader import PlainPhotos, batches, drawing_weights
from recognizer.training.model import ProductNetwork, build_network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from recognizer.dataset.manifest import Photo
    from recognizer.training.config import TrainingConfig

PENALTY = 0.01
"""Of the coefficients, in units of each channel's spread; from 0.003 to 0.1 it hardly matters."""

_BATCH = 32
_MOST_STEPS = 500
_LEAST_SPREAD = 0.1  # of the mean spread: a channel that hardly moves says little


def fit_probe(
    config: TrainingConfig,
    labels: Sequence[str],
    train: Sequence[Photo],
    *,
    device: torch.device,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> ProductNetwork:
    """Fit a head on the pre-trained backbone of a recipe.

    Photos are seen as they are, and count as a run draws them: balanced by label and source.
    Rendered pictures and patches are left to the branch that is fine-tuned: there are photos beside
    them, and a linear head would learn to tell the one kind of picture from the other.

    Args:
        config: the run's choices.
        labels: in the order of the network's outputs.
        train: photos of the training split.
        device: where the features are computed.
        on_progress: called with the photos done and their number.

    Returns:
        The network, on the CPU, in evaluation mode; its head is 0 for labels
        of which there are no photos.
    """
    torch.manual_seed(config.seed)  # without pre-trained weights: those that the run began with
    network = build_network(config, len(labels)).to(device).eval()
    photos = [p for p in train if p.is_evidence]
    features: list[NDArray[np.float32]] = []
    done = 0
    for images in batches(PlainPhotos(photos, config.input_size), _BATCH, config.workers):
        with torch.no_grad():
            features.append(network(images.to(device)).embedding.cpu().numpy())
        done += len(images)
        on_progress(done, len(photos))
    weights = drawing_weights(photos, config.label_power, config.source_power, config.label_weights)
    targets = np.array([labels.index(p.label) for p in photos])
    weight, bias = _fit(np.concatenate(features), targets, weights)
    known = np.unique(targets)
    with torch.no_grad():
        network.head.weight[known] = torch.from_numpy(weight)[:, :, None, None]
        network.head.bias[known] = torch.from_numpy(bias)  # type: ignore[index]
    return network.cpu()


def _fit(
    features: NDArray[np.float32], targets: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit a softmax regression; return weights (labels, channels) and biases (labels,).

    The labels are those among the targets, in order.
    """
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.maximum(spread, _LEAST_SPREAD * spread.mean() + 1e-9)
    # The weights sum to 1: the penalty is one on the mean loss.
    probe = LogisticRegression(C=1 / PENALTY, max_iter=_MOST_STEPS)
    probe.fit((features - mean) / spread, targets, sample_weight=weights)
    weight, bias = probe.coef_, probe.intercept_
    if len(bias) == 1:  # two labels: sklearn gives the odds of the second alone
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    weight = weight / spread
    return weight.astype(np.float32), (bias - weight @ mean).astype(np.float32)
