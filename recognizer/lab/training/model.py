"""The network: an EfficientNet of timm, a 1x1 convolution and global pooling.

The mean of a label's map *is* its logit, so the heat-map is a by-product of the score; if the head
sees the roots of pooled features, these are divided, place by place, by the roots of their means.
Batch normalisation keeps its first statistics, and is folded into the convolutions.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from timm.layers.conv2d_same import Conv2dSame
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from recognizer.errors import TrainingError
from recognizer.lab.training.config import TrainingConfig
from recognizer.lab.training.weights import build_backbone, load_parent

CPU_PASS = 12  # photos in a pass of training: the maps of more leave a processor's cache
FAR_BELOW = -1e4  # stands for minus infinity, which not every runtime adds cleanly
ROOT_FLOOR = 0.01  # added to the means of features, whose root has no slope at 0


Head = tuple[torch.Tensor, torch.Tensor]  # weight, (labels, channels), and bias, (labels,)


class Outputs(NamedTuple):
    """The outputs of one pass, float32."""

    logits: torch.Tensor  # (N, labels), before softmax
    maps: torch.Tensor  # (N, labels, h, w): activation maps, of which logits are the means
    embedding: torch.Tensor  # (N, channels): pooled features, or their roots


class ProductNetwork(nn.Module):
    """Backbone, class activation maps, pooling; ``is_root``: of the roots of pooled features."""

    def __init__(self, backbone: Any, labels: int, *, is_root: bool) -> None:
        super().__init__()
        self.backbone, self.is_root = backbone, is_root
        self.normalize: nn.Module = nn.Identity()
        self.head = nn.Conv2d(backbone.num_features, labels, kernel_size=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    @property
    def linear_head(self) -> Head:
        return self.head.weight.flatten(1), cast("torch.Tensor", self.head.bias)

    def set_head(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """Take a linear head, (labels, channels) and (labels,)."""
        with torch.no_grad():
            self.head.weight.copy_(weight[:, :, None, None])
            self.head.bias.copy_(bias)  # type: ignore[union-attr]

    def forward(self, images: torch.Tensor) -> Outputs:
        """Run one batch, uint8 or float, (N, size, size, 3), RGB, 0 to 255."""
        pixels = self.normalize(images.permute(0, 3, 1, 2).float())
        features = self.backbone.forward_features(pixels).float()
        if self.is_root:
            roots = (features.mean(dim=(2, 3), keepdim=True) + ROOT_FLOOR) ** 0.5
            features = (features + ROOT_FLOOR) / roots  # of which the mean is the root
        embedding = features.mean(dim=(2, 3))  # enrolment relies on it: the mean of what maps see
        if self.training:
            with torch.autocast(features.device.type, enabled=False):
                logits = functional.linear(embedding, self.head.weight.flatten(1), self.head.bias)
            return Outputs(logits, features.new_empty(0), embedding)
        maps = self.head(features)
        return Outputs(maps.mean(dim=(2, 3)), maps, embedding)


def build_network(config: TrainingConfig, labels: int) -> ProductNetwork:
    """Build the network with the weights that it begins with, and a head of zeros."""
    backbone = build_backbone(config)
    # timm keeps these on every model.
    mean, std = backbone.default_cfg["mean"], backbone.default_cfg["std"]
    if is_folded := hasattr(backbone, "conv_stem"):
        fold_normalization(backbone.conv_stem, backbone.bn1, mean, std)
    fold_batch_norm(backbone.eval())
    load_parent(backbone, config)
    keep_depthwise_exact(backbone)
    size, is_root = config.input_size, config.pooling == "sqrt_mean"
    with torch.no_grad(), suppress(AssertionError):  # of a size that a transformer does not take
        features = backbone.forward_features(
            torch.linspace(-2, 2, 3 * size**2).view(1, 3, size, -1)
        )
        if features.ndim == 4 and features.shape[1] == backbone.num_features:
            if is_root and features.min() < 0:
                what = f'pooling = "sqrt_mean": features of {config.backbone!r} may be negative'
                raise TrainingError(f'{what}; set "mean"')
            network = ProductNetwork(backbone, labels, is_root=is_root)
            if not is_folded:
                network.normalize = normalization(mean, std)
            return network
    raise TrainingError(
        f"backbone {config.backbone!r} is not supported: its features are no maps (N, channels, h, "
        "w), as those of EfficientNet, MobileNet, ResNet, ConvNeXt and RegNet are"
    )


def normalization(mean: Sequence[float], std: Sequence[float]) -> nn.BatchNorm2d:
    """Return the layer that normalises pixels of 0 to 255, for networks without a stem to fold."""
    layer = nn.BatchNorm2d(3, eps=0, affine=False).eval()
    layer.running_mean, layer.running_var = 255 * torch.tensor(mean), (255 * torch.tensor(std)) ** 2
    return layer


def fold_normalization(
    stem: nn.Conv2d, norm: nn.BatchNorm2d, mean: Sequence[float], std: Sequence[float]
) -> None:
    """Make a first convolution and what is behind it take pixels of 0 to 255, not normalised ones.

    The scale goes into the weights, the shift into the statistics of the batch normalisation. Only
    the border differs: its zero padding now means black instead of the mean color, which is why
    this comes before fine-tuning and not after.
    """
    scale = 255 * torch.tensor(std)[None, :, None, None]
    shift = 255 * torch.tensor(mean)[None, :, None, None]
    with torch.no_grad():
        stem.weight.div_(scale)
        norm.running_mean.add_((stem.weight * shift).sum(dim=(1, 2, 3)))  # type: ignore[union-attr]


_PAIRS = (
    {"conv_pw": "bn1", "conv_dw": "bn2", "conv_pwl": "bn3"},
    {"conv_dw": "bn1", "conv_pw": "bn2"},
    {"conv_exp": "bn1", "conv_pwl": "bn2"},
    {"conv_stem": "bn1", "conv_head": "bn2"},
    {"conv": "bn1"},
)
"""Convolutions and their normalisations in timm's EfficientNets: of an inverted residual, of a
separable convolution, of a fused residual, of the network, of a single convolution."""


def fold_batch_norm(backbone: nn.Module) -> None:
    """Fold the batch normalisations of a timm EfficientNet into its convolutions, in place.

    The activations, which timm keeps in the normalisations, take their places. Other networks keep
    their layers, in evaluation mode.
    """
    for module in list(backbone.modules()):
        inside = dict(module.named_children())
        pairs = next((p for p in _PAIRS if all(n in inside for n in (*p, *p.values()))), {})
        for conv, norm in pairs.items():
            old: Any = inside[norm]
            if isinstance(old, nn.BatchNorm2d) and hasattr(old, "act"):
                setattr(module, conv, fuse_conv_bn_eval(cast("nn.Conv2d", inside[conv]), old))
                setattr(module, norm, old.act)


def log_odds_of(logits: torch.Tensor) -> torch.Tensor:
    """Return log(p / (1 - p)) of softmax probabilities, (N, labels)."""
    # The logit against the log-sum-exp of all the others.
    others = torch.eye(logits.shape[1]) * FAR_BELOW
    return logits - torch.logsumexp(logits[:, None, :] + others, dim=2)


@torch.no_grad()
def torch_log_odds(network: nn.Module, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return log-odds, float32, (N, labels), of inputs, uint8, (N, size, size, 3)."""
    parts = [network(some).logits for some in torch.split(torch.from_numpy(inputs), CPU_PASS)]
    found: NDArray[np.float32] = log_odds_of(torch.cat(parts)).numpy()
    return found


def choose_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda`` or ``mps``."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next((device for device, is_there in available.items() if is_there), "cpu")
    if not available.get(name, True):
        raise TrainingError(f'device {name!r} is unavailable; use device = "auto"')
    return torch.device(name)


def choose_precision(device: torch.device) -> torch.dtype:
    """Return bfloat16 where a device computes faster with it, otherwise float32."""
    if device.type == "cpu":  # not by a trial, whose answer a busy machine would change
        names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
        is_fast = any(getattr(torch.cpu, name, lambda: False)() for name in names)
        return torch.bfloat16 if is_fast else torch.float32
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def keep_depthwise_exact(module: nn.Module) -> None:
    """Let the depthwise convolutions below a module compute in float32, in place.

    In bfloat16 oneDNN's gradients of them take three to eight times as long.
    """
    for child in module.modules():
        if type(child) in _EXACT and cast("nn.Conv2d", child).groups > 1:
            child.__class__ = _EXACT[type(child)]


class _Exact(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


class _ExactSame(_Exact, Conv2dSame):
    pass


_EXACT: dict[type[nn.Module], type[nn.Module]] = {nn.Conv2d: _Exact, Conv2dSame: _ExactSame}
