"""Finished runs: their checkpoint and their weights."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recognizer.dataset.manifest import Photo, fingerprint, taxonomy_of
from recognizer.errors import TrainingError
from recognizer.evaluation.metrics import average_precision, recall_at_fpr
from recognizer.taxonomy import Kind
from recognizer.training.config import TrainingConfig, config_from_dict
from recognizer.training.devices import choose_device
from recognizer.training.loader import PlainPhotos, batches
from recognizer.training.model import ProductNetwork, build_network

CHECKPOINT = "last.ckpt"
_BATCH = 64
_SAMPLE = 8  # photos by which a run's time is estimated


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run: epochs and photos from 1, photos a second, an estimate of the rest."""

    epoch: int
    epochs: int
    photo: int
    photos: int
    loss: float
    learning_rate: float
    rate: float
    seconds_left: float


def open_run(
    folder: Path, config: TrainingConfig, labels: Sequence[str], data: str
) -> dict[str, Any] | None:
    """Make a run's folder, or return the checkpoint of the run that it holds.

    Raises:
        TrainingError: that is a run of another recipe, of other labels or of other data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = read_checkpoint(folder)
    if state is None:
        return None
    # A key that is newer than the run has its default.
    its = config_from_dict(state["config"], str(folder))
    same = {
        "config": not its.differs(config),
        "labels": state["labels"] == list(labels),
        "data": state["data"] == data,
    }
    for key, is_same in same.items():
        if not is_same:
            raise TrainingError(
                f"{folder} holds a run with other {key}; choose another folder, or delete it"
            )
    return state


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
        if its.differs(config, "seed") or any(found[k] != state[k] for k in same):
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


def write_checkpoint(folder: Path, config: TrainingConfig, **state: Any) -> None:
    """Write ``config.json`` and the checkpoint, in one step.

    ``state`` has at least ``labels``, ``data`` (the fingerprint of the training photos),
    ``averaged`` (the weights that count) and ``epoch`` (how many are done).
    """
    (folder / "config.json").write_text(json.dumps(config.to_dict(), indent=2) + "\n")
    temporary = folder / f"{CHECKPOINT}.part"
    torch.save({"config": config.to_dict(), **state}, temporary)
    os.replace(temporary, folder / CHECKPOINT)


def read_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Return the checkpoint in a run's folder; None if there is none."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


@torch.no_grad()
def run_batches(
    network: ProductNetwork, photos: Sequence[Photo], config: TrainingConfig
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield logits and embeddings of photos as they are served, batch by batch, on the CPU.

    Raises:
        DatasetError: a photo cannot be decoded, or its bytes are not those of the manifest.
    """
    device = next(network.parameters(), torch.empty(0)).device
    loader = batches(PlainPhotos(photos, config.input_size), _BATCH, config.workers)
    for images in loader:
        outputs = network.eval()(images.to(device))
        yield outputs.logits.float().cpu(), outputs.embedding.float().cpu()


def run_network(
    network: ProductNetwork, photos: Sequence[Photo], config: TrainingConfig
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all logits, (N, labels), and embeddings, (N, channels); see :func:`run_batches`."""
    logits, embeddings = zip(*run_batches(network, photos, config), strict=True)
    return torch.cat(logits), torch.cat(embeddings)


def estimate_seconds(config: TrainingConfig, photos: Sequence[Photo]) -> float:
    """Return roughly how long a run will take here, by passes of a few of its photos."""
    used = [p for p in photos if p.split in {"train", "validation"}]
    network = build_network(replace(config, weights="none"), 2).to(choose_device(config.device))
    alone = replace(config, workers=0)
    for _ in range(2):  # the first pass makes room
        started = time.monotonic()
        run_network(network, used[:_SAMPLE], alone)
    each = (time.monotonic() - started) / len(used[:_SAMPLE])
    if config.frozen:
        return each * len(used)
    # Backwards costs twice as much as forwards.
    return 3 * each * config.epochs * config.photos_per_epoch / config.devices


def figures_of_epoch(
    logits: torch.Tensor, labels: Sequence[str], photos: Sequence[Photo]
) -> dict[str, float]:
    """Return what the log says of the held-out photos; nothing is chosen by it.

    ``ap`` and ``recall`` (at a false-positive rate of 1 %) are those of any product.
    """
    scores = logits.softmax(1).numpy()
    truth = np.array([p.label for p in photos])
    row = {"accuracy": float((np.array(labels)[scores.argmax(1)] == truth).mean())}
    known = taxonomy_of(photos).labels
    products = [i for i, name in enumerate(labels) if known[name].kind is Kind.PRODUCT]
    positive = np.array([p.is_product for p in photos])
    if products and positive.any() and not positive.all():
        score = scores[:, products].sum(1)
        row["ap"] = average_precision(positive, score)
        row["recall"] = recall_at_fpr(positive, score, 0.01)
    return row
