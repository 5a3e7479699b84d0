"""The training loop: fine-tune, average the weights, write a checkpoint after each epoch.

A run is a folder: ``config.json``, ``log.csv``, TensorBoard events, and ``last.ckpt``. Each epoch
seeds everything random from the seed and its own number, so a run that was killed and resumed ends
with the weights of an unbroken one.
"""

from __future__ import annotations

import copy
import csv
import json
import math
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from recognizer.dataset.manifest import fingerprint
from recognizer.errors import TrainingError
from recognizer.evaluation.metrics import average_precision, recall_at_fpr
from recognizer.training.config import TrainingConfig, config_from_dict
from recognizer.training.loader import Masks, PlainPhotos, TrainingPhotos, batches, find_masks
from recognizer.training.model import ProductNetwork, build_network
from recognizer.training.runs import CHECKPOINT, load_run, read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recognizer.dataset.manifest import Photo

_LOG_FIELDS = ("epoch", "loss", "learning_rate", "photos_per_second", "accuracy", "ap", "recall")


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


def fit(
    config: TrainingConfig,
    photos: Sequence[Photo],
    folder: Path,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_epoch: Callable[[dict[str, float]], None] = lambda _: None,
) -> ProductNetwork:
    """Train, or resume a run that stopped.

    Args:
        config: the recipe.
        photos: all photos with their splits; those of ``test`` are never opened.
        folder: the run's folder; created if it is missing.
        on_progress: called about once a second.
        on_epoch: called after each epoch with the row of ``log.csv``.

    Returns:
        The network with averaged weights, on the CPU and in evaluation mode.

    Raises:
        TrainingError: the folder holds a run of another configuration or of other data, or there
            are fewer than two labels.
    """
    train = [p for p in photos if p.split == "train"]
    validation = [p for p in photos if p.split == "validation"]
    labels = sorted({p.label for p in train})
    if len(labels) < 2:
        raise TrainingError(
            f"{len(labels)} labels among {len(train)} training photos; at least 2 are needed"
        )
    run = _Run.open(config, labels, fingerprint(train), folder)
    if run.epoch < config.epochs:
        run.masks = find_masks(train, config.input_size)
    for epoch in range(run.epoch, config.epochs):
        row = run.train_epoch(train, epoch, on_progress)
        row.update(run.validate(validation))
        run.finish_epoch(epoch, row)
        on_epoch(row)
    return load_run(folder)[0]


class _Run:
    """The moving parts of a run."""

    def __init__(self, config: TrainingConfig, labels: list[str], data: str, folder: Path) -> None:
        self.config, self.labels, self.data, self.folder = config, labels, data, folder
        self.device = choose_device(config.device)
        torch.manual_seed(config.seed)
        network = build_network(config, len(labels))
        self.network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged: ProductNetwork = copy.deepcopy(self.network).eval()
        self.optimizer = _optimizer(self.network, config)
        self.masks: Masks = []
        self.step = 0
        self.epoch = 0

    @classmethod
    def open(cls, config: TrainingConfig, labels: list[str], data: str, folder: Path) -> _Run:
        folder.mkdir(parents=True, exist_ok=True)
        run = cls(config, labels, data, folder)
        state = read_checkpoint(folder)
        if state is None:
            return run
        # A key that is newer than the run has its default.
        there = {**state, "config": config_from_dict(state["config"], str(folder))}
        for key, value in {"config": config, "labels": labels, "data": data}.items():
            if there[key] != value:
                raise TrainingError(
                    f"{folder} holds a run with other {key}; choose another folder, or delete it"
                )
        run.network.load_state_dict(state["network"])
        run.averaged.load_state_dict(state["averaged"])
        run.optimizer.load_state_dict(state["optimizer"])
        run.step, run.epoch = state["step"], state["epoch"]
        return run

    def train_epoch(
        self, train: Sequence[Photo], epoch: int, on_progress: Callable[[Progress], None]
    ) -> dict[str, float]:
        config = self.config
        torch.manual_seed(config.seed * 1_000_003 + epoch)
        generator = np.random.default_rng([config.seed, epoch, 1])
        early = epoch < config.early_epochs
        seen = replace(config, input_size=config.early_size) if early else config
        dataset = TrainingPhotos(train, self.labels, seen, epoch, self.masks)
        steps = math.ceil(len(dataset) / config.batch_size)
        self.network.train()
        frozen = [self.network.backbone] if config.freeze_batch_norm else []
        for module in (*frozen, *first_stages(self.network, config.freeze_stages)):
            for layer in module.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.eval()
        started = reported = time.monotonic()
        total, done, rate, learning_rate = 0.0, 0, 0.0, 0.0
        for images, targets in batches(dataset, config.batch_size, config.workers):
            learning_rate = self._set_rate(steps)
            loss = self._train_step(images, targets, generator)
            total += loss * len(targets)
            done += len(targets)
            now = time.monotonic()
            rate = done / (now - started)
            if now - reported >= 1 or done == len(dataset):
                reported = now
                left = _work(config, epoch, done / len(dataset)) * len(dataset)
                on_progress(
                    Progress(
                        epoch=epoch + 1,
                        epochs=config.epochs,
                        photo=done,
                        photos=len(dataset),
                        loss=total / done,
                        learning_rate=learning_rate,
                        rate=rate,
                        seconds_left=left / rate,
                    )
                )
        if not math.isfinite(total):
            raise TrainingError(f"the loss is {total} in epoch {epoch + 1}: lower learning_rate")
        return {
            "epoch": epoch + 1,
            "loss": total / done,
            "learning_rate": learning_rate,
            "photos_per_second": rate,
        }

    def _set_rate(self, steps_per_epoch: int) -> float:
        config = self.config
        warmup = config.warmup_epochs * steps_per_epoch
        whole = config.epochs * steps_per_epoch
        if self.step < warmup:
            factor = (self.step + 1) / warmup
        else:
            factor = 0.5 * (1 + math.cos(math.pi * (self.step - warmup) / max(1, whole - warmup)))
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        return config.learning_rate * factor

    def _train_step(
        self, images: torch.Tensor, targets: torch.Tensor, generator: np.random.Generator
    ) -> float:
        config = self.config
        images = images.to(self.device)
        soft = functional.one_hot(targets.to(self.device), len(self.labels)).float()
        if config.mixup:
            share = float(generator.beta(config.mixup, config.mixup))
            images = share * images.float() + (1 - share) * images.flip(0).float()
            soft = share * soft + (1 - share) * soft.flip(0)
        # bfloat16 has the range of float32: gradients need no scaling.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            logits = self.network(images).logits
        loss = loss_of(logits.float(), soft, config)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self.optimizer.step()
        self.step += 1
        self._average()
        return float(loss.detach())

    @torch.no_grad()
    def _average(self) -> None:
        # Early on the average follows quickly, so that it forgets the untrained head.
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        ours = self.averaged.state_dict()
        for name, value in self.network.state_dict().items():
            if value.dtype.is_floating_point:
                ours[name].lerp_(value, 1 - decay)
            else:
                ours[name].copy_(value)

    @torch.no_grad()
    def validate(self, photos: Sequence[Photo]) -> dict[str, float]:
        """Measure the held-out photos, for the log; nothing is chosen by it."""
        if not photos:
            return {}
        self.averaged.eval()
        dataset = PlainPhotos(photos, self.config.input_size)
        logits = torch.cat(
            [
                self.averaged(images.to(self.device)).logits.cpu()
                for images in batches(dataset, 64, self.config.workers)
            ]
        )
        scores = logits.softmax(1).numpy()
        truth = np.array([p.label for p in photos])
        names = np.array(self.labels)
        ivory = [i for i, name in enumerate(self.labels) if name.startswith("ivory")]
        row = {"accuracy": float((names[scores.argmax(1)] == truth).mean())}
        positive = np.isin(truth, names[ivory])
        if ivory and positive.any() and not positive.all():
            score = scores[:, ivory].sum(1)
            row["ap"] = average_precision(positive, score)
            row["recall"] = recall_at_fpr(positive, score, 0.01)
        return row

    def finish_epoch(self, epoch: int, row: dict[str, float]) -> None:
        self.epoch = epoch + 1
        # The log first: a run that is killed in between repeats this epoch, and its row.
        _log_csv(self.folder / "log.csv", row)
        _log_tensorboard(self.folder, row)
        self.save()

    def save(self) -> None:
        (self.folder / "config.json").write_text(json.dumps(self.config.to_dict(), indent=2) + "\n")
        temporary = self.folder / f"{CHECKPOINT}.part"
        torch.save(
            {
                "config": self.config.to_dict(),
                "labels": self.labels,
                "data": self.data,
                "network": self.network.state_dict(),
                "averaged": self.averaged.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "epoch": self.epoch,
            },
            temporary,
        )
        os.replace(temporary, self.folder / CHECKPOINT)


def _work(config: TrainingConfig, epoch: int, done: float) -> float:
    """Return the work left, in epochs like the current one: it is proportional to the area."""
    areas = [
        (config.early_size if e < config.early_epochs else config.input_size) ** 2
        for e in range(epoch, config.epochs)
    ]
    return sum(areas) / areas[0] - done


def loss_of(logits: torch.Tensor, targets: torch.Tensor, config: TrainingConfig) -> torch.Tensor:
    """Return the loss of a batch.

    Args:
        logits: float, (N, labels).
        targets: float, (N, labels): each row sums to 1.
        config: its ``loss`` and ``label_smoothing``.
    """
    smooth = config.label_smoothing
    if config.loss == "softmax":
        return functional.cross_entropy(logits, targets, label_smoothing=smooth)
    targets = targets * (1 - smooth) + smooth / targets.shape[1]
    return functional.binary_cross_entropy_with_logits(logits, targets) * targets.shape[1]


def choose_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        TrainingError: the named device is unavailable.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next((device for device, found in there.items() if found), "cpu")
    if not there.get(name, True):
        raise TrainingError(f'device {name!r} is unavailable; use device = "auto"')
    return torch.device(name)


def first_stages(network: ProductNetwork, count: int) -> list[nn.Module]:
    """Return the stem and the first stages of an EfficientNet; nothing for a count of 0.

    Raises:
        TrainingError: the backbone has fewer stages, or is no EfficientNet.
    """
    if count == 0:
        return []
    backbone: Any = network.backbone
    stages = list(getattr(backbone, "blocks", []))
    if count > len(stages):
        raise TrainingError(f"freeze_stages = {count}: the backbone has {len(stages)} stages")
    return [backbone.conv_stem, backbone.bn1, *stages[:count]]


def _optimizer(network: ProductNetwork, config: TrainingConfig) -> torch.optim.AdamW:
    for stage in first_stages(network, config.freeze_stages):
        stage.requires_grad_(False)
    groups = []
    for module, rate in ((network.backbone, config.backbone_rate), (network.head, 1.0)):
        for decayed in (True, False):
            # Biases and the scales of normalisations are not decayed.
            learned = (p for p in module.parameters() if p.requires_grad)
            parameters = [p for p in learned if (p.ndim > 1) == decayed]
            peak = config.learning_rate * rate
            decay = config.weight_decay if decayed else 0.0
            groups.append({"params": parameters, "lr": peak, "peak": peak, "weight_decay": decay})
    return torch.optim.AdamW(groups)


def _log_csv(path: Path, row: dict[str, float]) -> None:
    """Append the row of an epoch; rows of the same or later epochs are dropped."""
    rows: list[dict[str, str]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = [r for r in csv.DictReader(file) if int(r["epoch"]) < row["epoch"]]
    temporary = path.with_suffix(".part")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _LOG_FIELDS)
        writer.writeheader()
        writer.writerows([*rows, {key: f"{value:.6g}" for key, value in row.items()}])
    os.replace(temporary, path)


def _log_tensorboard(folder: Path, row: dict[str, float]) -> None:
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - slow to import

    with SummaryWriter(str(folder / "tensorboard"), purge_step=int(row["epoch"])) as writer:
        for key, value in row.items():
            writer.add_scalar(key, value, int(row["epoch"]))
