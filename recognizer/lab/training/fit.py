"""One run: a head fitted to frozen features, then gentle training, then averaged weights.

What a step draws depends on the seed and its number alone, so a run that was stopped and resumed
ends with the weights of an unbroken one.
"""

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from recognizer.errors import TrainingError
from recognizer.lab.dataset.manifest import Photo
from recognizer.lab.training.augment import Augmentation
from recognizer.lab.training.cache import PhotoCache
from recognizer.lab.training.config import TrainingConfig
from recognizer.lab.training.head import features_of, fit_head, keep_earlier, photo_weights
from recognizer.lab.training.model import (
    CPU_PASS,
    ProductNetwork,
    build_network,
    choose_device,
    choose_precision,
)
from recognizer.lab.training.weights import earlier_head

CHECKPOINT = "checkpoint.pt"
STEPS_FILE = "steps.csv"  # a line for each step of a run

_MAX_GRADIENT = 2.0  # a longer one is shortened
_AVERAGE = 0.998  # decay of the averaged weights, per step
_WARMUP_STEPS = 100
_SAVE_SECONDS = 60.0  # at first fewer: the second report says how long the rest takes


@dataclass(frozen=True, slots=True)
class Progress:
    photos: int
    of: int
    loss: float | None  # the mean since the last report; None when a run resumes
    step: int
    learning_rate: float  # of the head


class Run:
    """A run, or what is left of one that was stopped.

    The photos are all in the cache, and the folder holds the run's checkpoint. It begins with the
    recipe's weights, and a head fitted to the features of photos; ``on_features`` is called with
    those that are known. The targets are mixed with ``soft`` ones of
    teachers, (N, labels), as Hinton et al. (2015) do.
    """

    def __init__(
        self,
        config: TrainingConfig,
        labels: Sequence[str],
        photos: Sequence[Photo],
        cache: PhotoCache,
        folder: Path,
        *,
        soft: torch.Tensor | None = None,
        on_features: Callable[[int, int], None] = lambda done, of: None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        cv2.setNumThreads(1)
        self.config, self.photos, self.folder = config, photos, folder
        self.device = choose_device(config.device)
        self.precision = choose_precision(self.device)
        self.steps = math.ceil(config.photos / config.batch_size)
        hard = torch.tensor([labels.index(p.label) for p in photos])
        self.targets = functional.one_hot(hard, len(labels)).float()
        if soft is not None:
            self.targets = self.targets.lerp(soft, config.distill)
        self.weights = photo_weights(
            photos, config.label_power, config.source_power, config.label_weights
        )
        self.augment = Augmentation(config.augment, config.input_size, photos, cache)
        torch.manual_seed(config.seed)
        network = build_network(config, len(labels)).eval().to(self.device)
        if (earlier := earlier_head(config, labels)) is not None and config.keep_head:
            head = (earlier.weight, earlier.bias)
        else:
            features = features_of(network, photos, cache, on_progress=on_features)
            head = fit_head(features, photos, labels, config.label_power, config.head_c)
            head = head if earlier is None else keep_earlier(*head, earlier)
        network.set_head(*head)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.start = {n: p.detach().clone() for n, p in network.named_parameters()}
        self.averaged = {n: p.clone() for n, p in self.start.items()}
        self.optimizer = _optimizer(network, config)
        self.peaks = [group["lr"] for group in self.optimizer.param_groups]
        self.step, self.lines = 0, ["step,loss,learning_rate"]
        if (path := folder / CHECKPOINT).exists():
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.averaged, self.step = state["averaged"], state["step"]
            self.lines = state.get("lines", self.lines)

    def train(
        self, on_progress: Callable[[Progress], None] = lambda _: None
    ) -> dict[str, torch.Tensor]:
        """Take all steps that are left, and return the averaged weights.

        ``on_progress`` is called about once a minute, and at first sooner.
        """
        if 0 < self.step < self.steps:
            on_progress(self._progress(None))
        self.network.train()
        for module in self.network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        saved, wait = time.monotonic(), _SAVE_SECONDS / 16
        total, since = 0.0, self.step
        # The processor has one thread left where it computes the network, too.
        threads = 1 if self.device.type == "cpu" else os.cpu_count()
        with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(threads) as pool:
            coming = ahead.submit(self._draw, self.step, pool)
            while self.step < self.steps:
                images, targets = coming.result()
                coming = ahead.submit(self._draw, self.step + 1, pool)
                total += self._take_step(images, targets)
                if self.step == self.steps or time.monotonic() - saved >= wait:
                    if not math.isfinite(total):
                        raise TrainingError(f"the loss is {total}: lower learning_rate")
                    self._save()
                    saved, wait = time.monotonic(), min(2 * wait, _SAVE_SECONDS)
                    on_progress(self._progress(total / (self.step - since)))
                    total, since = 0.0, self.step
        state = self.network.state_dict() | self.averaged
        return {name: value.cpu() for name, value in state.items()}

    def _progress(self, loss: float | None) -> Progress:
        batch, rate = self.config.batch_size, self.optimizer.param_groups[-1]["lr"]
        return Progress(self.step * batch, self.steps * batch, loss, self.step, rate)

    def _draw(self, step: int, pool: ThreadPoolExecutor) -> tuple[torch.Tensor, torch.Tensor]:
        drawn = np.random.default_rng([self.config.seed, step])
        rows = drawn.choice(len(self.photos), self.config.batch_size, p=self.weights)
        seeds = drawn.integers(2**62, size=len(rows))
        photos, generators = (self.photos[row] for row in rows), map(np.random.default_rng, seeds)
        images = list(pool.map(self.augment, photos, generators))
        return torch.from_numpy(np.stack(images)), self.targets[torch.from_numpy(rows)]

    def _take_step(self, images: torch.Tensor, targets: torch.Tensor) -> float:
        config = self.config
        factor = min(1.0, (self.step + 1) / _WARMUP_STEPS)
        factor *= 0.5 * (1 + math.cos(math.pi * self.step / self.steps))
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor
        self.optimizer.zero_grad(set_to_none=True)
        together = CPU_PASS if self.device.type == "cpu" else len(images)
        total = 0.0
        for part in range(0, len(images), together):
            some = images[part : part + together].to(self.device)
            loss = self._loss(some, targets[part : part + together].to(self.device))
            loss = loss * (len(some) / len(images))
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        nn.utils.clip_grad_norm_(self.network.parameters(), _MAX_GRADIENT)
        self.optimizer.step()
        self.step += 1
        self.lines.append(f"{self.step},{total:.6g},{self.optimizer.param_groups[-1]['lr']:.6g}")
        decay = min(_AVERAGE, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.network.named_parameters():
                if value.requires_grad:
                    if config.pull and name.startswith("backbone."):
                        value.lerp_(self.start[name], config.pull * factor)
                    self.averaged[name].lerp_(value, 1 - decay)
        return total

    def _loss(self, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        is_half = self.precision is not torch.float32
        with torch.autocast(self.device.type, self.precision, enabled=is_half):
            logits = self.network(images).logits
        smoothing = self.config.label_smoothing
        return functional.cross_entropy(logits, targets, label_smoothing=smoothing)

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "averaged": self.averaged,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "lines": self.lines,
        }
        torch.save(state, self.folder / f"{CHECKPOINT}.part")
        os.replace(self.folder / f"{CHECKPOINT}.part", self.folder / CHECKPOINT)
        (self.folder / STEPS_FILE).write_text("\n".join([*self.lines, ""]), "utf-8")


@dataclass(frozen=True, slots=True)
class Stage:
    """The work under way, how much of it is done, and the folder and numbers of a run."""

    words: str
    done: int | None = None  # photos, of all runs or of a step that belongs to none
    of: int | None = None
    run: str | None = None
    progress: Progress | None = None


class Reporter:
    """Reports the progress of runs: of how many photos each is, in their order."""

    def __init__(
        self, runs: Mapping[str, int], on_stage: Callable[[Stage], None] = lambda _: None
    ) -> None:
        self._runs, self.on_stage = runs, on_stage

    def on_photos(self, words: str, done: int, of: int) -> None:
        """Report a step that belongs to no run."""
        self.on_stage(Stage(words, done, of))

    def on_run(self, name: str, words: str, progress: Progress) -> None:
        """Report how far a run is."""
        place, of = [*self._runs].index(name), self._runs[name]
        seen = min(progress.photos, of)  # the last batch may be cut
        loss = "resumed" if progress.loss is None else f"loss {progress.loss:.3f}"
        words = f"run {place + 1} of {len(self._runs)} ({words}), {loss}"
        progress, all_runs = replace(progress, photos=seen, of=of), [*self._runs.values()]
        before = sum(all_runs[:place])
        self.on_stage(Stage(words, before + seen, sum(all_runs), name, progress))


def _optimizer(network: ProductNetwork, config: TrainingConfig) -> torch.optim.Adam:
    """Freeze stages, and return Adam: ``pull`` decays weights, towards the first ones."""
    backbone: Any = network.backbone
    if (count := config.freeze_stages) > len(stages := getattr(backbone, "blocks", ())):
        raise TrainingError(f"freeze_stages = {count}: the backbone has {len(stages)} stages")
    for part in (backbone.conv_stem, backbone.bn1, *stages[:count]) if count else ():
        part.requires_grad_(False)
    rate = config.learning_rate
    rates = ((backbone, rate * config.backbone_rate), (network.head, rate))
    groups = [([p for p in part.parameters() if p.requires_grad], own) for part, own in rates]
    return torch.optim.Adam([{"params": own, "lr": lr} for own, lr in groups if own])
