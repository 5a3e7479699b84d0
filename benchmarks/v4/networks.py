"""Backbones with their packaged ImageNet weights, in the form that a CPU trains fastest.

Batch normalisation keeps ImageNet's statistics in all of these experiments, so it is folded into
the convolutions before training; in bfloat16, with the gradients of ``depthwise.py``, a step then
takes a third of the time.
"""

from __future__ import annotations

from typing import Any

import depthwise
import timm
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from recognizer.training.model import ROOT_FLOOR, fold_normalization
from recognizer.training.weights import packaged_state

MEMORY = torch.channels_last

_PAIRS = (
    {"conv_pw": "bn1", "conv_dw": "bn2", "conv_pwl": "bn3"},
    {"conv_dw": "bn1", "conv_pw": "bn2"},
    {"conv_stem": "bn1", "conv_head": "bn2"},
)
"""Convolutions and their normalisations in timm's EfficientNets: of an inverted residual, of a
separable convolution, of the network."""


def backbone(name: str) -> Any:
    """Return a timm EfficientNet that takes pixels of 0 to 255, without batch normalisation."""
    network: Any = timm.create_model(name, pretrained=False, num_classes=0)
    network.load_state_dict(packaged_state(name, network), strict=False)
    fold_normalization(network, network.default_cfg["mean"], network.default_cfg["std"])
    fuse(network.eval())
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True
    if depthwise.available():
        depthwise.replace_depthwise(network)
    return network.to(memory_format=MEMORY)


def fuse(backbone: nn.Module) -> None:
    """Fold the batch normalisation of a timm EfficientNet into its convolutions, in place.

    The activations, which timm keeps in the normalisations, take their places.
    """
    for module in list(backbone.modules()):
        there = dict(module.named_children())
        pairs = next((p for p in _PAIRS if all(n in there for n in (*p, *p.values()))), {})
        for conv, norm in pairs.items():
            old: Any = getattr(module, norm)
            setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv).eval(), old.eval()))
            setattr(module, norm, old.act)


def root(embedding: Any) -> Any:
    """Return the roots of pooled features, by which linear heads tell more apart."""
    return (embedding + ROOT_FLOOR) ** 0.5


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
