"""The network: a timm backbone, a 1x1 convolution and global pooling.

The convolution gives each label's activation map, and pooling commutes with it: the mean of a
label's map *is* its logit, so the heat-map is a by-product of the score. In a vision transformer
the map is that of the patches; class and register tokens are left out. The input is uint8 RGB; its
normalisation is folded into the first convolution before training begins, where that is followed
by a batch normalisation, and is a layer of its own otherwise.

The head sees the means of the features, or their square roots: by those a linear head distinguishes
more. So that a label's score stays the mean of its map, features are then divided, place by place,
by the roots of their means.

Batch normalisation keeps the statistics with which a network begins, so in a timm EfficientNet it
is folded into the convolutions before training: a step then takes a third less time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from recognizer.errors import TrainingError
from recognizer.training.depthwise import speed_up_gradients
from recognizer.training.weights import build_backbone, load_released

if TYPE_CHECKING:
    from recognizer.training.config import TrainingConfig


ROOT_FLOOR = 0.01
"""Added to the means of features, whose root has no slope at 0."""


class Outputs(NamedTuple):
    """The outputs of one pass.

    Attributes:
        logits: float32, (N, labels): each label's score before softmax or sigmoid.
        maps: float32, (N, labels, h, w): the activation map of which each logit is the mean.
        embedding: float32, (N, channels): the pooled features, or their roots.
    """

    logits: torch.Tensor
    maps: torch.Tensor
    embedding: torch.Tensor


class ProductNetwork(nn.Module):
    """Backbone, class activation maps, pooling.

    Args:
        backbone: a timm model.
        channels: of the backbone's features.
        labels: how many labels there are.
        normalize: from pixels of 0 to 255 to what the backbone takes.
        is_root: whether the head sees the square roots of pooled features.
    """

    def __init__(
        self,
        backbone: nn.Module,
        channels: int,
        labels: int,
        normalize: nn.Module | None = None,
        *,
        is_root: bool = False,
    ) -> None:
        super().__init__()
        self.normalize = normalize or nn.Identity()
        self.backbone = backbone
        self.is_root = is_root
        self.head = nn.Conv2d(channels, labels, kernel_size=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def set_head(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """Take a linear head, (labels, channels) and (labels,)."""
        with torch.no_grad():
            self.head.weight.copy_(weight[:, :, None, None])
            self.head.bias.copy_(bias)  # type: ignore[union-attr]

    def forward(self, images: torch.Tensor) -> Outputs:
        """Run one batch.

        Args:
            images: uint8 or float, (N, size, size, 3), RGB, 0 to 255.
        """
        pixels = self.normalize(images.permute(0, 3, 1, 2).float())
        features = feature_map(self.backbone, pixels).float()
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


def feature_map(backbone: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Return a backbone's features of normalised pixels as a map, (N, channels, h, w)."""
    features: torch.Tensor = backbone.forward_features(pixels)
    if features.ndim == 4:
        is_last = getattr(backbone, "output_fmt", "NCHW") == "NHWC"
        return features.permute(0, 3, 1, 2) if is_last else features
    patches: torch.Tensor = features[:, getattr(backbone, "num_prefix_tokens", 0) :]
    # Where timm normalises after pooling, each patch is normalised instead.
    patches = getattr(backbone, "fc_norm", nn.Identity())(patches)
    rows, columns = backbone.patch_embed.grid_size
    # Not len(): torch's exporter would take it for a constant.
    return patches.transpose(1, 2).reshape(patches.shape[0], -1, rows, columns)


def build_network(config: TrainingConfig, labels: int) -> ProductNetwork:
    """Build the network with the weights that it begins with, and a head of zeros.

    Raises:
        TrainingError: the backbone is unknown, does not fit, or its weights do not.
    """
    backbone = build_backbone(config)
    # timm keeps these on every model.
    mean, std = backbone.default_cfg["mean"], backbone.default_cfg["std"]
    normalize = None
    if can_fold(backbone):
        fold_normalization(backbone, mean, std)
    else:
        normalize = Normalization(mean, std)
    fold_batch_norm(backbone.eval())
    load_released(backbone, config)
    speed_up_gradients(backbone)
    _check_backbone(backbone, config)
    return ProductNetwork(
        backbone, backbone.num_features, labels, normalize, is_root=config.pooling == "sqrt_mean"
    )


class Normalization(nn.Module):
    """From pixels of 0 to 255 to zero mean and unit variance, where that cannot be folded in.

    Args:
        mean: of each channel, as a share of 255.
        std: of each channel, as a share of 255.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        # Not in the state: they belong to the architecture, as the folded ones do.
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, 255 * torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalise float pixels, (N, 3, h, w)."""
        return (pixels - self.mean) / self.std


def _check_backbone(backbone: Any, config: TrainingConfig) -> None:
    """Check that a backbone gives a map of features, by a pass over one black image.

    What has no part in the map (a pooling by attention, say) is not trained.

    Raises:
        TrainingError: it does not, or it takes no images of the recipe's size.
    """
    size = config.input_size
    patch = getattr(getattr(backbone, "patch_embed", None), "patch_size", None)
    if patch and size % patch[0]:
        near = max(1, round(size / patch[0])) * patch[0]
        raise TrainingError(
            f"input_size = {size}: {config.backbone!r} takes a multiple of {patch[0]}, as {near}"
        )
    try:
        with torch.enable_grad():
            features = feature_map(backbone, torch.zeros(1, 3, size, size))
    except (AssertionError, AttributeError, RuntimeError) as error:
        raise TrainingError(
            f"backbone {config.backbone!r} gives no map of features for images of {size} pixels: "
            f"{error}"
        ) from error
    shape = tuple(features.shape)
    if len(shape) != 4 or shape[1] != backbone.num_features:
        raise TrainingError(
            f"backbone {config.backbone!r} gives features of shape {shape}, not "
            f"(1, {backbone.num_features}, h, w)"
        )
    if config.pooling == "sqrt_mean" and features.min() < 0:
        raise TrainingError(
            f'pooling = "sqrt_mean": features of {config.backbone!r} may be negative; set "mean"'
        )
    features.sum().backward()  # type: ignore[no-untyped-call]
    for weight in backbone.parameters():
        weight.requires_grad_(weight.grad is not None)
    backbone.zero_grad(set_to_none=True)


def can_fold(backbone: nn.Module) -> bool:
    """Whether a backbone begins as :func:`fold_normalization` needs it."""
    norm = getattr(backbone, "bn1", None)
    return (
        isinstance(getattr(backbone, "conv_stem", None), nn.Conv2d)
        and isinstance(norm, nn.BatchNorm2d)
        and norm.running_mean is not None
    )


def fold_normalization(
    backbone: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    """Make a timm EfficientNet take pixels of 0 to 255 instead of normalised ones.

    The scale goes into the weights of the first convolution, the shift into the statistics of the
    batch normalisation behind it. Only the border differs: its zero padding now means black
    instead of the mean colour, which is why this comes before fine-tuning and not after.

    Args:
        backbone: one that :func:`can_fold`; changed in place.
        mean: of each channel, as a share of 255.
        std: of each channel, as a share of 255.
    """
    described: Any = backbone
    stem, norm = described.conv_stem, described.bn1
    scale = 255 * torch.tensor(std)[None, :, None, None]
    shift = 255 * torch.tensor(mean)[None, :, None, None]
    with torch.no_grad():
        stem.weight.div_(scale)
        norm.running_mean.add_((stem.weight * shift).sum(dim=(1, 2, 3)))


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

    Args:
        backbone: in evaluation mode.
    """
    for module in list(backbone.modules()):
        inside = dict(module.named_children())
        pairs = next((p for p in _PAIRS if all(n in inside for n in (*p, *p.values()))), {})
        for conv, norm in pairs.items():
            old: Any = inside[norm]
            if isinstance(old, nn.BatchNorm2d) and hasattr(old, "act"):
                setattr(module, conv, fuse_conv_bn_eval(cast("nn.Conv2d", inside[conv]), old))
                setattr(module, norm, old.act)
