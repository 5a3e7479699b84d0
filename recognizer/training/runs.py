"""Runs that training left behind: their checkpoint, their weights, what they learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from recognizer.errors import TrainingError
from recognizer.training.config import TrainingConfig, config_from_dict
from recognizer.training.data import Photo, fingerprint
from recognizer.training.model import ProductNetwork, build_network, join_branches

CHECKPOINT = "last.ckpt"

AVERAGED, JOINED = "averaged", "joined"
"""Keys of the checkpoint: the weights that were fine-tuned, and with the linear probe's branch."""


def load_run(folder: Path, *others: Path) -> tuple[ProductNetwork, TrainingConfig, list[str]]:
    """Load the averaged weights of a run, or the mean of several that differ in their seed alone.

    All runs of a recipe start at the same weights, so that they end near enough to each other for
    their mean to be a network too, one that is better than each of them away from the training
    data, at the cost of one (a "model soup": Wortsman et al., 2022).

    Returns:
        The network in evaluation mode, the configuration of the first, and the labels in order.

    Raises:
        TrainingError: there is no checkpoint, a run has not ended, or they differ in more than
            their seed.
    """
    state, config = _finished(folder)
    weights = JOINED if config.probe else AVERAGED
    mean = state[weights]
    for other in others:
        found, its = _finished(other)
        same = ("labels", "data")
        if replace(its, seed=config.seed) != config or any(found[k] != state[k] for k in same):
            raise TrainingError(f"{other} differs from {folder} in more than its seed")
        for name, value in found[weights].items():
            if value.dtype.is_floating_point:
                mean[name] += value
    for name, value in mean.items():
        if value.dtype.is_floating_point:
            mean[name] = value / (1 + len(others))
    network = _empty(config, len(state["labels"]))
    if config.probe:
        beside = _empty(config, len(state["labels"]))
        network = join_branches(network, beside, config.freeze_stages)
    network.load_state_dict(mean)
    return network.eval(), config, state["labels"]


def check_data(folder: Path, photos: Sequence[Photo]) -> None:
    """Check that a run learned from the training photos among these, and from no others.

    Raises:
        TrainingError: it did not, or there is no run.
    """
    state, _ = _finished(folder)
    if state["data"] != fingerprint(p for p in photos if p.split == "train"):
        raise TrainingError(f"{folder} was trained on other photos than --data gives")


def _finished(folder: Path) -> tuple[dict[str, Any], TrainingConfig]:
    state = read_checkpoint(folder)
    if state is None:
        raise TrainingError(f"{folder}: no {CHECKPOINT}; train first")
    config = config_from_dict(state["config"])
    if state["epoch"] < config.epochs:
        raise TrainingError(
            f"{folder}: stopped after epoch {state['epoch']} of {config.epochs}; "
            "run the same training command again to go on"
        )
    if config.probe and state.get(JOINED) is None:
        raise TrainingError(
            f"{folder}: the linear probe is missing; run the same training command again to fit it"
        )
    return state, config


def _empty(config: TrainingConfig, labels: int) -> ProductNetwork:
    """Return a network to load weights into."""
    return build_network(config_from_dict({**config.to_dict(), "weights": "none"}), labels)


def read_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Return what a run's folder keeps of it, None where there is no run."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
