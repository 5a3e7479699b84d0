"""A linear probe: what a linear head makes of the features that fine-tuning would have bent.

A network that is fine-tuned on a few sources, under strong augmentation, forgets part of what it
knew of everything else. A logistic regression on its pre-trained features forgets nothing, fits the
photos as they are, and does better where there are few of them ("Fine-tuning can distort pretrained
features and underperform out-of-distribution", Kumar et al., 2022). The network that is exported
has both (:func:`recognizer.training.model.join_branches`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch.utils.data import Dataset

from recognizer.training.data import drawing_weights
from recognizer.training.loader import Masks, PlainPhotos, TrainingPhotos, batches
from recognizer.training.model import ProductNetwork, build_network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from recognizer.training.config import TrainingConfig
    from recognizer.training.data import Photo

PENALTY = 0.01
"""Of the coefficients, in units of each channel's spread; from 0.003 to 0.1 it hardly matters."""

PICTURES = 64
"""Pictures that stand for a label of which there is no photo, as training draws them."""

_BATCH = 32
_MOST_STEPS = 500
_LEAST_SPREAD = 0.1  # of the mean spread: a channel that hardly moves says little


def fit_probe(
    config: TrainingConfig,
    labels: Sequence[str],
    train: Sequence[Photo],
    masks: Masks,
    *,
    device: torch.device,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> ProductNetwork:
    """Fit a head on the pre-trained backbone of a recipe.

    Photos count as a run draws them, balanced by label and source, and are seen as they are.

    Args:
        config: the run's choices.
        labels: in the order of the network's outputs.
        train: photos of the training split, rendered pictures and patches too.
        masks: see :func:`recognizer.training.loader.find_masks`, for the same photos.
        device: where the features are computed.
        on_progress: called with the pictures done and their number.

    Returns:
        The network, on the CPU, in evaluation mode.
    """
    torch.manual_seed(config.seed)  # without pre-trained weights: those that the run began with
    network = build_network(config, len(labels)).to(device).eval()
    plain = [p for p in train if p.is_evidence]
    shown = {p.label for p in plain}
    rows = list(plain)
    datasets: list[Dataset[object]] = [PlainPhotos(plain, config.input_size)]
    missing = [name for name in labels if name not in shown]
    if missing:
        these = replace(
            config,
            label_weights=dict.fromkeys(shown, 0.0),
            photos_per_epoch=PICTURES * len(missing),
        )
        drawn = TrainingPhotos(train, labels, these, config.epochs, masks)
        rows += drawn.photos
        datasets.append(drawn)
    features: list[NDArray[np.float32]] = []
    done = 0
    for dataset in datasets:
        for batch in batches(dataset, _BATCH, config.workers):
            images = batch[0] if isinstance(batch, list) else batch
            with torch.no_grad():
                features.append(network(images.to(device)).embedding.cpu().numpy())
            done += len(images)
            on_progress(done, len(rows))
    weights = drawing_weights(rows, config.label_power, config.source_power, config.label_weights)
    targets = np.array([labels.index(p.label) for p in rows])
    weight, bias = _fit(np.concatenate(features), targets, weights)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(weight)[:, :, None, None])
        network.head.bias.copy_(torch.from_numpy(bias))  # type: ignore[union-attr]
    return network.cpu()


def _fit(
    features: NDArray[np.float32], targets: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit a softmax regression; return its weights (labels, channels) and biases (labels,)."""
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
