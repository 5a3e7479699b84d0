"""One run: a head fitted to frozen features, then gentle training, then averaged weights.

Training begins where a linear head ends, and the finished weights lie between these first ones and
the averages over the last steps: what ImageNet taught is most of what is known of sources that
nobody has seen. What a step draws depends on the seed and its number alone, so a run that was
stopped and resumed ends with the weights of an unbroken one.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from timm.optim import param_groups_layer_decay, param_groups_weight_decay
from torch import nn
from torch.nn import functional

from recognizer.dataset.manifest import Photo
from recognizer.errors import TrainingError
from recognizer.training.augment import Augmentation, Pictures
from recognizer.training.cache import PhotoCache
from recognizer.training.config import TrainingConfig
from recognizer.training.head import features_of, fit_head, photo_weights
from recognizer.training.model import ProductNetwork, build_network

CHECKPOINT = "checkpoint.pt"

_MAX_GRADIENT = 2.0  # a longer one is shortened
_AVERAGE = 0.998  # decay of the averaged weights, per step
_WARMUP_STEPS = 100
_CPU_PASS = 12  # photos in a pass: the maps of more leave a processor's cache
_SAVE_SECONDS = 60.0
_BATCH = 32  # of predictions


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run: photos seen and to see, the mean loss since the last report."""

    photos: int
    of: int
    loss: float


def fit(
    config: TrainingConfig,
    labels: Sequence[str],
    photos: Sequence[Photo],
    cache: PhotoCache,
    folder: Path,
    *,
    seed: int,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> dict[str, torch.Tensor]:
    """Train, or go on with a run that was stopped.

    Args:
        config: the recipe.
        labels: the outputs, in order.
        photos: to learn from, all of them in the cache.
        cache: of the photos.
        folder: of the run's checkpoint.
        seed: of all draws.
        on_progress: called every few seconds.

    Returns:
        The finished weights.

    Raises:
        TrainingError: the device is unavailable, or the loss is no number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(config, labels, photos, cache, folder, seed)
    run.train(on_progress)
    return run.finished()


class _Run:
    def __init__(
        self,
        config: TrainingConfig,
        labels: Sequence[str],
        photos: Sequence[Photo],
        cache: PhotoCache,
        folder: Path,
        seed: int,
    ) -> None:
        cv2.setNumThreads(1)
        self.config, self.photos, self.folder, self.seed = config, photos, folder, seed
        self.device = choose_device(config.device)
        self.precision = choose_precision(config.precision, self.device)
        self.steps = math.ceil(config.photos / config.batch_size)
        self.targets = np.array([labels.index(p.label) for p in photos])
        self.weights = photo_weights(
            photos, config.label_power, config.source_power, config.label_weights
        )
        pictures = Pictures(cache.rgb, cache.mask)
        self.augment = Augmentation(config.augment, config.input_size, photos, pictures)
        torch.manual_seed(seed)
        network = build_network(config, len(labels)).eval().to(self.device)
        features = features_of(network, photos, cache, config.input_size)
        network.set_head(*fit_head(features, photos, labels, config.label_power, config.head_c))
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.start = {n: p.detach().clone() for n, p in network.named_parameters()}
        self.averaged = {n: p.detach().clone() for n, p in network.named_parameters()}
        self.optimizer = _optimizer(network, config)
        self.peaks = [group["lr"] for group in self.optimizer.param_groups]
        self.step = 0
        path = folder / CHECKPOINT
        if path.exists():
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.averaged, self.step = state["averaged"], state["step"]

    def train(self, on_progress: Callable[[Progress], None]) -> None:
        """Take all steps that are left."""
        self.network.train()
        for module in self.network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        saved = time.monotonic()
        total, since = 0.0, self.step
        with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(_workers(self.device)) as pool:
            coming = ahead.submit(self._draw, self.step, pool)
            while self.step < self.steps:
                images, targets = coming.result()
                coming = ahead.submit(self._draw, self.step + 1, pool)
                total += self._take_step(images, targets)
                is_last = self.step == self.steps
                if is_last or time.monotonic() - saved >= _SAVE_SECONDS:
                    if not math.isfinite(total):
                        raise TrainingError(f"the loss is {total}: lower learning_rate")
                    self._save()
                    saved = time.monotonic()
                    batch, loss = self.config.batch_size, total / (self.step - since)
                    on_progress(Progress(self.step * batch, self.steps * batch, loss))
                    total, since = 0.0, self.step

    def _draw(self, step: int, pool: ThreadPoolExecutor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the images and label numbers of a step."""
        drawn = np.random.default_rng([self.seed, step])
        rows = drawn.choice(len(self.photos), self.config.batch_size, p=self.weights)
        seeds = drawn.integers(2**62, size=len(rows))
        images = list(pool.map(self._picture, rows.tolist(), seeds.tolist()))
        return torch.from_numpy(np.stack(images)), torch.from_numpy(self.targets[rows])

    def _picture(self, row: int, seed: int) -> NDArray[np.uint8]:
        return self.augment(self.photos[row], np.random.default_rng(seed))

    def _take_step(self, images: torch.Tensor, targets: torch.Tensor) -> float:
        config = self.config
        factor = min(1.0, (self.step + 1) / _WARMUP_STEPS)
        factor *= 0.5 * (1 + math.cos(math.pi * self.step / self.steps))
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor
        self.optimizer.zero_grad(set_to_none=True)
        together = _CPU_PASS if self.device.type == "cpu" else len(images)
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
        decay = min(_AVERAGE, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.network.named_parameters():
                if value.requires_grad:
                    if config.pull and name.startswith("backbone."):
                        value.lerp_(self.start[name], config.pull * factor)
                    self.averaged[name].lerp_(value, 1 - decay)
        return total

    def _loss(self, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        config, pixels = self.config, images.float()
        soft = functional.one_hot(targets, self.network.head.out_channels).float()
        if config.mixup:
            drawn = np.random.default_rng([self.seed, self.step, int(pixels.sum()) % 2**32])
            share = float(drawn.beta(config.mixup, config.mixup))
            pixels = share * pixels + (1 - share) * pixels.flip(0)
            soft = share * soft + (1 - share) * soft.flip(0)
        with torch.autocast(
            self.device.type, self.precision, enabled=self.precision is not torch.float32
        ):
            logits = self.network(pixels).logits
        return functional.cross_entropy(logits, soft, label_smoothing=config.label_smoothing)

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "averaged": self.averaged,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        torch.save(state, self.folder / f"{CHECKPOINT}.part")
        os.replace(self.folder / f"{CHECKPOINT}.part", self.folder / CHECKPOINT)

    def finished(self) -> dict[str, torch.Tensor]:
        """Return all weights, part of the way from where they began to the averaged ones."""
        state = dict(self.network.state_dict())
        for name, value in self.averaged.items():
            state[name] = self.start[name].lerp(value, self.config.average_weight)
        return {name: value.cpu() for name, value in state.items()}


def _workers(device: torch.device) -> int:
    """Return how many threads change photos: all where the network is computed elsewhere."""
    return 1 if device.type == "cpu" else os.cpu_count() or 1


def first_stages(network: ProductNetwork, count: int) -> list[nn.Module]:
    """Return the stem and the first stages or blocks of a backbone; nothing for a count of 0.

    Raises:
        TrainingError: the backbone has fewer, or none.
    """
    if count == 0:
        return []
    backbone: Any = network.backbone
    stages = list(getattr(backbone, "blocks", []))
    if count > len(stages):
        raise TrainingError(f"freeze_stages = {count}: the backbone has {len(stages)} stages")
    stem = ("conv_stem", "bn1", "patch_embed", "norm_pre")
    return [*(getattr(backbone, n) for n in stem if hasattr(backbone, n)), *stages[:count]]


def _optimizer(network: ProductNetwork, config: TrainingConfig) -> torch.optim.AdamW:
    """Return AdamW with a rate for each layer; biases and normalisations are not decayed."""
    backbone, decay = network.backbone, config.weight_decay
    for stage in first_stages(network, config.freeze_stages):
        stage.requires_grad_(False)
    if config.freeze_stages:
        for weight in backbone.parameters(recurse=False):  # what the first block adds to patches
            weight.requires_grad_(False)
    kept: Any = getattr(backbone, "no_weight_decay", set)
    if config.layer_decay == 1:
        groups = param_groups_weight_decay(backbone, decay, kept())
    else:
        groups = param_groups_layer_decay(backbone, decay, kept(), layer_decay=config.layer_decay)
    for group in groups:
        group["lr"] = config.learning_rate * config.backbone_rate * group.pop("lr_scale", 1.0)
    groups += [
        {**g, "lr": config.learning_rate} for g in param_groups_weight_decay(network.head, decay)
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]])


def choose_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        TrainingError: the named device is unavailable.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next((device for device, is_there in available.items() if is_there), "cpu")
    if not available.get(name, True):
        raise TrainingError(f'device {name!r} is unavailable; use device = "auto"')
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the type for ``fp32``, ``bf16`` or ``auto``: bf16 where it is faster."""
    if name != "auto":
        return torch.bfloat16 if name == "bf16" else torch.float32
    if device.type != "cpu":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    seconds = {}
    for kind in (torch.float32, torch.bfloat16):
        x = torch.ones(_CPU_PASS, 128, 16, 16, dtype=kind).to(memory_format=torch.channels_last)
        weight = torch.ones(128, 128, 1, 1, dtype=kind)
        times = []
        for _ in range(5):
            started = time.thread_time()
            functional.conv2d(x, weight)
            times.append(time.thread_time() - started)
        seconds[kind] = min(times)
    return min(seconds, key=lambda kind: seconds[kind])


@torch.no_grad()
def predict(
    network: ProductNetwork, photos: Sequence[Photo], cache: PhotoCache, size: int
) -> NDArray[np.float32]:
    """Return logits of photos as they are served, float32, (N, labels).

    ``size`` is the side of the network's input.
    """
    device = next(network.eval().parameters()).device
    parts = []
    for first in range(0, len(photos), _BATCH):
        images = torch.from_numpy(cache.squares(photos[first : first + _BATCH], size))
        parts.append(network(images.to(device)).logits.float().cpu().numpy())
    return np.concatenate(parts)
