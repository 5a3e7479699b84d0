"""Backbones with their packaged ImageNet weights, in the form that a CPU trains fastest.

Batch normalisation keeps ImageNet's statistics in all of these experiments, so it is folded into
the convolutions before training; in bfloat16, with the gradients of ``depthwise.py``, a step then
takes a third of the time. ``unfuse`` gives the weights back in timm's form.
"""

from __future__ import annotations

from typing import Any

import depthwise
import timm
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from recognizer.training.model import fold_normalization
from recognizer.training.weights import packaged_state

MEMORY = torch.channels_last


def backbone(name: str) -> Any:
    """Return a timm EfficientNet that takes pixels of 0 to 255, without batch normalisation."""
    network: Any = timm.create_model(name, pretrained=False, num_classes=0)
    network.load_state_dict(packaged_state(name, network), strict=False)
    fold_normalization(network, network.default_cfg["mean"], network.default_cfg["std"])
    _fuse(network.eval())
    if depthwise.available():
        depthwise.replace_depthwise(network)
    return network.to(memory_format=MEMORY)


FLOOR = 0.01
"""Added to pooled features, whose root has no slope at 0."""


def root(embedding: Any) -> Any:
    """Return the roots of pooled features, by which linear heads tell more apart."""
    return (embedding + FLOOR) ** 0.5


PAIRS = (
    {"conv_pw": "bn1", "conv_dw": "bn2", "conv_pwl": "bn3"},
    {"conv_dw": "bn1", "conv_pw": "bn2"},
    {"conv_stem": "bn1", "conv_head": "bn2"},
)
"""Convolutions and their normalisations: of an inverted residual, a separable one, the network."""


def pairs_of(module: nn.Module) -> dict[str, str]:
    """Return the convolutions of a block with their normalisations."""
    there = dict(module.named_children())
    return next((p for p in PAIRS if all(name in there for name in (*p, *p.values()))), {})


def _fuse(network: nn.Module) -> None:
    for module in list(network.modules()):
        for conv, norm in pairs_of(module).items():
            old: Any = getattr(module, norm)
            setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), old))
            setattr(module, norm, old.act)
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True


def stages(network: Any, images: torch.Tensor) -> list[torch.Tensor]:
    """Return the map behind each stage, the last being that before pooling.

    Args:
        network: of :func:`backbone`.
        images: uint8, (N, size, size, 3), RGB.
    """
    x = images.permute(0, 3, 1, 2).float().contiguous(memory_format=MEMORY)
    x = network.bn1(network.conv_stem(x))
    maps = []
    for block in network.blocks:
        x = block(x)
        maps.append(x)
    maps.append(network.bn2(network.conv_head(x)))
    return maps
