"""The training loop: fine-tune, average the weights, write a checkpoint after each epoch.

A run is a folder: ``config.json``, ``log.csv``, TensorBoard events, and ``last.ckpt``. Each epoch
seeds everything random from the seed and its own number, so a run that was killed and resumed ends
with the weights of an unbroken one.
"""

from __future__ import annotations

import csv
import math
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from timm.utils import ModelEmaV3
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from recognizer._atomic import replacing
from recognizer.dataset.manifest import fingerprint
from recognizer.errors import TrainingError
from recognizer.training.devices import launch
from recognizer.training.frozen import FEATURES_FILE, begin_head, fit_frozen
from recognizer.training.imitation import Imitation
from recognizer.training.loader import TrainingPhotos, batches, find_masks
from recognizer.training.model import ProductNetwork, build_network
from recognizer.training.optimizer import first_stages, make_optimizer, rate_factor
from recognizer.training.runs import (
    Progress,
    figures_of_epoch,
    load_run,
    open_run,
    run_network,
    write_checkpoint,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lightning_fabric import Fabric

    from recognizer.dataset.manifest import Photo
    from recognizer.training.config import TrainingConfig

_LOG_FIELDS = ("epoch", "loss", "learning_rate", "photos_per_second", "accuracy", "ap", "recall")
_MAX_GRADIENT = 2.0  # a longer one is shortened


def fit(
    config: TrainingConfig,
    photos: Sequence[Photo],
    folder: Path,
    *,
    labels: Sequence[str] | None = None,
    features: Path | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_epoch: Callable[[dict[str, float]], None] = lambda _: None,
) -> ProductNetwork:
    """Train, or resume a run that stopped.

    Args:
        config: the recipe.
        photos: all photos with their splits; those of ``test`` are never opened.
        folder: the run's folder; created if it is missing.
        labels: the outputs; by default those of the training photos.
        features: where a frozen backbone's features are kept, a file; by default in the folder.
        on_progress: called about once a second.
        on_epoch: called after each epoch with the row of ``log.csv``.

    Returns:
        The network with averaged weights, on the CPU and in evaluation mode.

    Raises:
        TrainingError: the folder holds a run of another configuration or of other data, there are
            fewer than two labels, or the device is unavailable.
    """
    train = [p for p in photos if p.split == "train"]
    validation = [p for p in photos if p.split == "validation"]
    found = sorted({p.label for p in train})
    if len(found) < 2:
        raise TrainingError(
            f"{len(found)} labels among {len(train)} training photos; at least 2 are needed"
        )
    outputs, data = list(labels or found), fingerprint(train)
    state = open_run(folder, config, outputs, data)
    if state is not None and state["epoch"] >= config.epochs:
        return load_run(folder)[0]
    if state is not None and "schedule" not in state:
        raise TrainingError(
            f"{folder} holds a run that an earlier version began: finish it with that version, or "
            "delete it"
        )
    if config.frozen:
        row = fit_frozen(
            config, outputs, train, validation, folder, features, on_progress=on_progress
        )
        _log(folder, row)
        on_epoch(row)
        return load_run(folder)[0]
    fabric = launch(config.device, config.devices, config.precision)
    run = _Run(config, outputs, data, folder, fabric)
    run.begin(train, features or folder / FEATURES_FILE, state, on_progress)
    masks = find_masks(train, config.input_size)
    for epoch in range(run.epoch, config.epochs):
        seen = run.config
        if epoch < config.early_epochs:
            seen = replace(seen, input_size=config.early_size)
        dataset = TrainingPhotos(train, outputs, seen, epoch, masks)
        row = run.train_epoch(dataset, epoch, on_progress if fabric.is_global_zero else None)
        if epoch + 1 == config.epochs:
            run.go_back()
        if fabric.is_global_zero:
            row.update(run.validate(validation))
            run.finish_epoch(row)
            on_epoch(row)
        fabric.barrier()
    return load_run(folder)[0]


class _Run:
    """The moving parts of a run."""

    def __init__(
        self,
        config: TrainingConfig,
        labels: list[str],
        data: str,
        folder: Path,
        fabric: Fabric,
    ) -> None:
        self.asked, self.labels, self.data, self.folder = config, labels, data, folder
        self.fabric = fabric
        self.steps = math.ceil(config.photos_per_epoch / config.batch_size)
        # Each step is whole, so that it can be dealt out.
        self.config = replace(config, photos_per_epoch=self.steps * config.batch_size)
        self.step = self.epoch = 0
        self.learning_rate = 0.0
        torch.manual_seed(config.seed)
        network = build_network(config, len(labels)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = ModelEmaV3(network, decay=config.ema_decay, use_warmup=True)
        self.start: dict[str, torch.Tensor] = {}
        self.imitation: Imitation | None = None
        self.whole = network

    def begin(
        self,
        train: Sequence[Photo],
        path: Path,
        state: dict[str, Any] | None,
        on_progress: Callable[[Progress], None],
    ) -> None:
        """Set everything to where training begins, or to where it stopped.

        Args:
            train: the training photos.
            path: of the store of features.
            state: the checkpoint of a run that stopped.
            on_progress: called about once a second while features are computed.
        """
        config, network = self.config, self.whole
        if config.imitate:
            self.imitation = Imitation(network.eval(), config, train, path, on_progress)
        if config.begin_head and state is None:
            begin_head(network.eval(), config, self.labels, train, (), path, on_progress)
            self.averaged.set(network)  # type: ignore[no-untyped-call]
        optimizer = make_optimizer(network, config)
        if self.imitation:
            weights = list(self.imitation.output.parameters())
            optimizer.add_param_group(
                {"params": weights, "lr": config.learning_rate, "weight_decay": 0.0}
            )
        self.schedule = LambdaLR(optimizer, partial(rate_factor, config, self.steps))
        if state is None:
            self.start = self._kept()
        else:
            network.load_state_dict(state["network"])
            self.averaged.module.load_state_dict(state["averaged"])
            if self.imitation:
                self.imitation.output.load_state_dict(state["imitation"])
            optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            self.start = state.get("start", {})
            self.step, self.epoch = state["step"], state["epoch"]
        self.averaged.to(self.fabric.device)
        if self.imitation:
            self.imitation.output.to(self.fabric.device)
        self.network, self.optimizer = self.fabric.setup(network, optimizer)

    def _kept(self) -> dict[str, torch.Tensor]:
        """Return the weights to which the finished ones go back a share of the way."""
        if self.config.share == 1:
            return {}
        return {n: w.detach().cpu().clone() for n, w in self.averaged.module.named_parameters()}

    @torch.no_grad()
    def go_back(self) -> None:
        """Leave the averaged weights only a share of the way from where they began."""
        for name, value in self.averaged.module.named_parameters():
            if name in self.start:
                value.lerp_(self.start[name].to(value.device), 1 - self.config.share)

    def train_epoch(
        self,
        dataset: TrainingPhotos,
        epoch: int,
        on_progress: Callable[[Progress], None] | None,
    ) -> dict[str, float]:
        config, fabric = self.config, self.fabric
        torch.manual_seed(config.seed * 1_000_003 + epoch + 500_009 * fabric.global_rank)
        generator = np.random.default_rng([config.seed, epoch, 1 + fabric.global_rank])
        self._set_mode()
        # Each step is dealt out to the passes, and each pass to the devices.
        places = np.arange(len(dataset)).reshape(
            self.steps * config.accumulate, fabric.world_size, -1
        )
        loader = batches(dataset, places[:, fabric.global_rank].tolist(), config.workers)
        started = reported = time.monotonic()
        total, rate, done = 0.0, 0.0, 0
        for number, batch in enumerate(loader, 1):
            total += self._train_pass(batch, generator, is_last=number % config.accumulate == 0)
            done += len(batch[0]) * fabric.world_size
            now = time.monotonic()
            rate = done / (now - started)
            if on_progress and (now - reported >= 1 or done == len(dataset)):
                reported = now
                left = _work(config, epoch, done / len(dataset)) * len(dataset)
                on_progress(
                    Progress(
                        epoch=epoch + 1,
                        epochs=config.epochs,
                        photo=done,
                        photos=len(dataset),
                        loss=total / number,
                        learning_rate=self.learning_rate,
                        rate=rate,
                        seconds_left=left / rate,
                    )
                )
        if not math.isfinite(total):
            raise TrainingError(f"the loss is {total} in epoch {epoch + 1}: lower learning_rate")
        self.epoch = epoch + 1
        return {
            "epoch": self.epoch,
            "loss": total / len(places),
            "learning_rate": self.learning_rate,
            "photos_per_second": rate,
        }

    def _set_mode(self) -> None:
        network = self.network.module
        self.network.train()
        frozen = [network.backbone] if self.config.freeze_batch_norm else []
        for module in (*frozen, *first_stages(network, self.config.freeze_stages)):
            for layer in module.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.eval()

    def _train_pass(
        self,
        batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        generator: np.random.Generator,
        *,
        is_last: bool,
    ) -> float:
        config, fabric = self.config, self.fabric
        images, targets, places = fabric.to_device(batch)
        if config.small_share and generator.random() < config.small_share:
            images = _resized(images, config.small_size)
        soft = functional.one_hot(targets, len(self.labels)).float()
        if config.mixup:
            share = float(generator.beta(config.mixup, config.mixup))
            images = share * images.float() + (1 - share) * images.flip(0).float()
            soft = share * soft + (1 - share) * soft.flip(0)
        with fabric.no_backward_sync(self.network, enabled=not is_last):
            outputs = self.network(images)
            loss = loss_of(outputs.logits.float(), soft, config)
            if self.imitation:
                loss = loss + self.imitation.loss(outputs.embedding, places)
            fabric.backward(loss / config.accumulate)
        if is_last:
            fabric.clip_gradients(self.network, self.optimizer, max_norm=_MAX_GRADIENT)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.learning_rate = float(self.schedule.get_last_lr()[-1])  # of the head
            self.schedule.step()
            self.step += 1
            self.averaged.update(self.network.module, self.step)
        return float(loss.detach())

    def validate(self, photos: Sequence[Photo]) -> dict[str, float]:
        if not photos:
            return {}
        logits, _ = run_network(self.averaged.module, photos, self.config)
        return figures_of_epoch(logits, self.labels, photos)

    def finish_epoch(self, row: dict[str, float]) -> None:
        # The log first: a run that is killed in between repeats this epoch, and its row.
        _log(self.folder, row)
        write_checkpoint(
            self.folder,
            self.asked,
            labels=self.labels,
            data=self.data,
            network=self.network.module.state_dict(),
            averaged=self.averaged.module.state_dict(),
            optimizer=self.optimizer.state_dict(),
            schedule=self.schedule.state_dict(),
            start=self.start,
            imitation=self.imitation.output.state_dict() if self.imitation else {},
            step=self.step,
            epoch=self.epoch,
        )


def _resized(images: torch.Tensor, size: int) -> torch.Tensor:
    """Return images, (N, h, w, 3), of another size, float."""
    pixels = images.permute(0, 3, 1, 2).float()
    small = functional.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True)
    return small.permute(0, 2, 3, 1)


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


def _log(folder: Path, row: dict[str, float]) -> None:
    """Append the row of an epoch; rows of the same or later epochs are dropped."""
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - slow to import

    path, rows = folder / "log.csv", list[dict[str, Any]]()
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = [r for r in csv.DictReader(file) if int(r["epoch"]) < row["epoch"]]
    with replacing(path) as partial_file, partial_file.open("w", newline="") as file:
        writer = csv.DictWriter(file, _LOG_FIELDS)
        writer.writeheader()
        writer.writerows([*rows, {key: f"{value:.6g}" for key, value in row.items()}])
    with SummaryWriter(str(folder / "tensorboard"), purge_step=int(row["epoch"])) as writer:
        for key, value in row.items():
            writer.add_scalar(key, value, int(row["epoch"]))
