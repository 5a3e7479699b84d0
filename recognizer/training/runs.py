"""Finished runs: their checkpoint, their weights, their figures on sources that they left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recognizer.dataset.manifest import Photo, fingerprint
from recognizer.errors import TrainingError
from recognizer.evaluation.left_out import Unseen, held_out, measure_scores
from recognizer.training.config import TrainingConfig, config_from_dict
from recognizer.training.loader import PlainPhotos, batches
from recognizer.training.model import ProductNetwork, build_network

CHECKPOINT = "last.ckpt"
_BATCH = 64


def load_run(folder: Path, *others: Path) -> tuple[ProductNetwork, TrainingConfig, list[str]]:
    """Load the averaged weights of a run, or the mean of several that differ only in their seed.

    All runs of a recipe start with the same weights and end near each other. Their mean is a
    network that does better than each away from the training data, at the cost of one (a "model
    soup": Wortsman et al., 2022).

    Returns:
        The network in evaluation mode, the configuration of the first, and the labels in order.

    Raises:
        TrainingError: there is no checkpoint, a run has not ended, or the runs differ in more than
            their seed.
    """
    state, config = _finished(folder)
    states = [state]
    for other in others:
        found, its = _finished(other)
        same = ("labels", "data")
        if replace(its, seed=config.seed) != config or any(found[k] != state[k] for k in same):
            raise TrainingError(f"{other} differs from {folder} in more than its seed")
        states.append(found)
    network = build_network(replace(config, weights="none"), len(state["labels"]))
    mean = dict(state["averaged"])
    for name, value in mean.items():
        if value.dtype.is_floating_point:
            mean[name] = sum(one["averaged"][name] for one in states) / len(states)
    network.load_state_dict(mean)
    return network.eval(), config, state["labels"]


def check_data(folder: Path, photos: Sequence[Photo]) -> None:
    """Check that the training photos among these are those of a run.

    Raises:
        TrainingError: they are others, or there is no finished run.
    """
    state, _ = _finished(folder)
    if state["data"] != fingerprint(p for p in photos if p.split == "train"):
        raise TrainingError(f"{folder} was trained on other photos than --data gives")


def _finished(folder: Path) -> tuple[dict[str, Any], TrainingConfig]:
    state = read_checkpoint(folder)
    if state is None:
        raise TrainingError(f"{folder}: no {CHECKPOINT}; train first")
    config = config_from_dict(state["config"], str(folder))
    if state["epoch"] < config.epochs:
        raise TrainingError(
            f"{folder}: stopped after epoch {state['epoch']} of {config.epochs}; "
            "run the same training command again to resume it"
        )
    return state, config


def read_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Return the checkpoint in a run's folder; None if there is none."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def check_recipe(config: TrainingConfig, released: TrainingConfig, folder: Path) -> None:
    """Check that a run differs from the released one only in its seed and in what it leaves out.

    Raises:
        TrainingError: it differs in more, or leaves no source out.
    """
    same = replace(released, seed=config.seed, exclude_sources=config.exclude_sources)
    sources, known = set(config.left_out_sources), set(released.left_out_sources)
    if same != config or set(config.exclude_sources) - sources != (
        set(released.exclude_sources) - known
    ):
        raise TrainingError(f"{folder} is a run of another recipe than the one that is exported")
    if not sources > known:
        raise TrainingError(
            f"{folder}: no source was left out (exclude_sources) that the exported run learned from"
        )


@torch.no_grad()
def probabilities(
    network: ProductNetwork, config: TrainingConfig, photos: Sequence[Photo]
) -> NDArray[np.float64]:
    """Return a network's probabilities before calibration, float64, (photos, labels)."""
    dataset = PlainPhotos(photos, config.input_size)
    logits = torch.cat([network(x).logits for x in batches(dataset, _BATCH, 1)]).double()
    scores = logits.softmax(1) if config.loss == "softmax" else logits.sigmoid()
    return np.asarray(scores.numpy(), np.float64)


def measure_unseen(
    network: ProductNetwork,
    config: TrainingConfig,
    labels: Sequence[str],
    photos: Sequence[Photo],
    *,
    rounds: int = 1000,
) -> Unseen:
    """Measure a network, in evaluation mode, on the sources that its run left out.

    ``labels`` are in the order of its outputs, ``photos`` have the splits of the run.
    """
    scores = probabilities(network, config, held_out(photos))
    return measure_scores(scores, labels, photos, config.left_out_sources, rounds=rounds)
