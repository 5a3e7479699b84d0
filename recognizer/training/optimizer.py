"""What is learned at which rate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from timm.optim import param_groups_layer_decay, param_groups_weight_decay
from torch import nn

from recognizer.errors import TrainingError

if TYPE_CHECKING:
    from recognizer.training.config import TrainingConfig
    from recognizer.training.model import ProductNetwork


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


def make_optimizer(network: ProductNetwork, config: TrainingConfig) -> torch.optim.AdamW:
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
    groups = [g for g in groups if g["params"]]
    peak = config.learning_rate
    for group in groups:
        group["lr"] = peak * config.backbone_rate * group.pop("lr_scale", 1.0)
    groups += [{**g, "lr": peak} for g in param_groups_weight_decay(network.head, decay)]
    return torch.optim.AdamW(groups)


def rate_factor(config: TrainingConfig, steps: int, step: int) -> float:
    """Return the learning rate's share of its peak: a linear rise, then a cosine."""
    warmup, whole = config.warmup_epochs * steps, config.epochs * steps
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, whole - warmup)))
