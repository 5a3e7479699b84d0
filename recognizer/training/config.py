"""The recipe of a training run, a TOML file.

Unknown keys and values out of range are errors, so that a misspelt key is never ignored.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recognizer.dataset.splits import DataRecipe, check_values, read_recipe
from recognizer.errors import TrainingError


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """How often and how strongly training photos are changed; probabilities from 0 to 1.

    Attributes:
        plain: leave a photo nearly as it is: mirrored, a little cropped and recoloured.
        background: replace the even background of an object photo by another photo.
        several: of those, share with several objects of the kind on the other photo.
        most: how many objects at most.
        others: share of composed images of products with other things beside them.
        canvas: place the photo, smaller, on another one (collage, screenshot, distance).
        min_crop: smallest share of the area that a random crop keeps.
        rotate: turn by up to :attr:`max_degrees`.
        max_degrees: largest rotation in degrees.
        color: jitter brightness, contrast, saturation and hue.
        gray: drop the colour.
        blur: blur.
        downscale: lose resolution and come back.
        jpeg: recompress at a quality of 25 to 95.
        noise: add Gaussian noise.
        watermark: write a line of text across.
        erase: blank out a rectangle.
    """

    plain: float = 0.0
    background: float = 0.5
    several: float = 0.3
    most: int = 16
    others: float = 0.25
    canvas: float = 0.2
    min_crop: float = 0.35
    rotate: float = 0.5
    max_degrees: float = 25.0
    color: float = 0.8
    gray: float = 0.1
    blur: float = 0.15
    downscale: float = 0.2
    jpeg: float = 0.4
    noise: float = 0.1
    watermark: float = 0.05
    erase: float = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig(DataRecipe):
    """A training run; what it takes from its data is in :class:`DataRecipe`.

    Attributes:
        name: what messages call the recipe. A bundle is called as the folder it is exported to.
        backbone: a timm model name: a convolutional network, or a vision transformer (DINOv2,
            DINOv3, SigLIP, CLIP, EVA, Swin), whose maps come from its patches.
        weights: ``imagenet`` (a package's if there is one for the backbone, else timm's),
            ``package`` (what a package carries, for ``tf_efficientnet_lite0`` to ``lite2``),
            ``timm`` (timm's hub), ``none``, or the path of a safetensors file.
        input_size: side of the square input in pixels; a multiple of a transformer's patch.
        early_epochs: how many of the first epochs see images of :attr:`early_size` instead. Small
            ones cost less (at three quarters of the side about half), and a network that has
            learned from both sizes depends less on how large an object is ("progressive learning",
            Tan and Le, 2021).
        early_size: side in pixels of the input in the first epochs.
        small_share: share of the steps that see images of :attr:`small_size`, so that the network
            also serves at that size, and trains faster.
        small_size: side in pixels of the input in these steps.
        pooling: what the head sees of the features: their ``mean``, or the ``root`` of it, by which
            it distinguishes more; for backbones whose features are never negative (ReLU, ReLU6).
        loss: ``softmax`` (one label a photo) or ``sigmoid`` (each label for itself).
        epochs: passes of :attr:`photos_per_epoch` photos.
        photos_per_epoch: photos drawn for each epoch, with replacement, balanced.
        batch_size: photos in a step, over all passes and devices.
        accumulate: passes in a step: more of them take less memory.
        label_power: labels are drawn in proportion to their photo count to this power
            (0: all equally often, 1: in proportion).
        source_power: the same for the sources within a label.
        label_weights: factors on how often a label is drawn, by label name.
        learning_rate: peak rate of the new head.
        backbone_rate: the rate of the backbone's last layer, as a factor of
            :attr:`learning_rate`.
        layer_decay: factor on the rate from each layer of the backbone to the one before it.
        weight_decay: AdamW's decay of weight matrices.
        warmup_epochs: epochs of linear warm-up before the cosine.
        label_smoothing: share of the target spread over all labels.
        mixup: Beta parameter of mixup, 0 for none.
        drop_rate: dropout before the head.
        drop_path: stochastic depth.
        ema_decay: decay of the averaged weights, the ones that are kept, for each step.
        freeze_batch_norm: keep ImageNet's batch statistics.
        freeze_stages: how many of the first stages of an EfficientNet, or blocks of a transformer,
            keep their weights, with the stem. What they see (edges, textures) is learned from far
            more photos than ours, and leaving them alone about doubles the speed of training.
        frozen: the whole backbone keeps its weights; the head is a logistic regression on its
            features of the photos as they are. These are computed once and kept (see
            :mod:`recognizer.training.frozen`). Epochs, rates and augmentation do not apply.
        begin_head: begin with the head that ``frozen`` would fit, instead of zeros: training begins
            where a linear head ends.
        imitate: backbones whose frozen features a second output repeats in training, of the photos
            that ``augment.plain`` leaves nearly as they are (:mod:`recognizer.training.imitation`).
        share: how far the finished weights are on the way from the first to the averaged ones.
            Of sources that were never seen, networks that went three quarters find more.
        head_c: C of that regression, the inverse of its penalty, for standardised features.
        seed: of everything else that is random. On a CPU the same seed gives the same weights; on
            CUDA and MPS sums are added in an order of their own, so nearly the same ones.
        workers: processes that load photos, for each device; 0 loads in the training process.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        devices: how many of them, each with a process of its own.
        precision: ``fp32``, ``bf16``, ``fp16`` (CUDA) or ``auto``: bf16 on CUDA, fp32 elsewhere.
        augment: see :class:`AugmentConfig`.
    """

    name: str = "wildlife"
    backbone: str = "tf_efficientnet_lite0"
    weights: str = "package"
    input_size: int = 224
    early_epochs: int = 0
    early_size: int = 192
    small_share: float = 0.0
    small_size: int = 144
    pooling: str = "mean"
    loss: str = "softmax"
    epochs: int = 12
    photos_per_epoch: int = 2560
    batch_size: int = 32
    accumulate: int = 1
    label_power: float = 0.5
    source_power: float = 0.5
    label_weights: dict[str, float] = field(default_factory=dict)
    learning_rate: float = 1e-3
    backbone_rate: float = 0.3
    layer_decay: float = 1.0
    weight_decay: float = 0.02
    warmup_epochs: float = 0.5
    label_smoothing: float = 0.05
    mixup: float = 0.0
    drop_rate: float = 0.2
    drop_path: float = 0.05
    ema_decay: float = 0.995
    freeze_batch_norm: bool = False
    freeze_stages: int = 0
    frozen: bool = False
    head_c: float = 0.01
    begin_head: bool = False
    imitate: list[str] = field(default_factory=list)
    share: float = 1.0
    seed: int = 0
    workers: int = 1
    device: str = "auto"
    devices: int = 1
    precision: str = "auto"
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            TrainingError: a value is out of range.
        """
        DataRecipe.__post_init__(self)
        choices = {
            "loss": ("softmax", "sigmoid"),
            "pooling": ("mean", "root"),
            "device": ("auto", "cpu", "cuda", "mps"),
            "precision": ("auto", "fp32", "bf16", "fp16"),
        }
        for key, allowed in choices.items():
            if getattr(self, key) not in allowed:
                raise TrainingError(f"{key} = {getattr(self, key)!r}: one of {', '.join(allowed)}")
        self._check_sizes()
        shares = ("label_smoothing", "small_share", "drop_rate", "drop_path", "ema_decay")
        for key in shares:
            if not 0 <= getattr(self, key) < 1:
                raise TrainingError(f"{key} = {getattr(self, key)}: from 0 to below 1")
        if not 0 < self.share <= 1:
            raise TrainingError(f"share = {self.share}: above 0, at most 1")
        if not 0 <= self.early_epochs < self.epochs:
            raise TrainingError(f"early_epochs = {self.early_epochs}: from 0 to below epochs")
        if self.augment.most < 2:
            raise TrainingError(f"augment.most = {self.augment.most}: at least 2")
        for part in dataclasses.fields(self.augment):
            value = getattr(self.augment, part.name)
            if part.name not in {"max_degrees", "most"} and not 0 <= value <= 1:
                raise TrainingError(f"augment.{part.name} = {value}: from 0 to 1")

    def _check_sizes(self) -> None:
        counts = (
            "input_size",
            "early_size",
            "small_size",
            "epochs",
            "photos_per_epoch",
            "batch_size",
        )
        for key in (*counts, "accumulate", "devices"):
            if getattr(self, key) < 1:
                raise TrainingError(f"{key} = {getattr(self, key)}: at least 1")
        if self.batch_size % (self.accumulate * self.devices):
            raise TrainingError(
                f"batch_size = {self.batch_size}: a multiple of accumulate * devices, which is "
                f"{self.accumulate * self.devices}"
            )
        for key in ("layer_decay", "head_c"):
            if getattr(self, key) <= 0:
                raise TrainingError(f"{key} = {getattr(self, key)}: above 0")
        if self.imitate and (self.mixup or not self.augment.plain):
            raise TrainingError(
                "imitate: features are known of photos that augment.plain leaves, without mixup"
            )
        for key in ("frozen", "begin_head", "imitate"):
            if getattr(self, key) and self.devices > 1:
                raise TrainingError(f"devices = {self.devices}: {key} uses one")

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain values, for checkpoints and ``bundle.json``."""
        return dataclasses.asdict(self)

    def differs(self, other: TrainingConfig, *but: str) -> bool:
        """Return whether another recipe trains another network, apart from some keys."""
        # Where a run is computed, and what it is called, has no influence on what it learns.
        but = ("name", "device", "devices", "workers", "accumulate", *but)
        return replace(other, **{key: getattr(self, key) for key in but}) != self


DEFAULT_RECIPE = "small-cpu"
"""The recipe that is used where none is given."""


def carried_recipes() -> dict[str, Path]:
    """Return the recipes that this package carries, by name."""
    package = Path(__file__).parent.parent
    # An installed package carries them inside; a checkout keeps them in export/.
    shelves = [package.parent / "export" / "recipes", package / "recipes"]
    return {file.stem: file for shelf in shelves for file in sorted(shelf.glob("*.toml"))}


def load_config(recipe: str | Path, changes: Sequence[str] = ()) -> TrainingConfig:
    """Read a training configuration.

    Args:
        recipe: a file, or the name of a recipe that this package carries.
        changes: keys with other values, each as ``KEY=VALUE``; the value is TOML, or text.

    Raises:
        TrainingError: there is no such recipe, it has an unknown key, or a value of a wrong type or
            out of range.
    """
    carried = carried_recipes()
    path = carried.get(str(recipe), Path(recipe)) if not Path(recipe).is_file() else Path(recipe)
    if not path.is_file():
        raise TrainingError(
            f"no recipe {str(recipe)!r}: give a TOML file, or one of: {', '.join(carried)}"
        )
    values = read_recipe(path)
    for change in changes:
        key, equals, text = (part.strip() for part in change.partition("="))
        if not equals or not key:
            raise TrainingError(f"{change!r}: write KEY=VALUE, as epochs=3")
        try:
            new = tomllib.loads(f"{key} = {text}")
        except tomllib.TOMLDecodeError:
            new = {key: text}
        for name, value in new.items():
            is_table = isinstance(value, dict) and isinstance(values.get(name), dict)
            values[name] = {**values[name], **value} if is_table else value
    return config_from_dict(values, str(path))


def config_from_dict(values: dict[str, Any], where: str = "configuration") -> TrainingConfig:
    """Return a configuration from plain values, as :meth:`TrainingConfig.to_dict` gives them.

    Raises:
        TrainingError: a key is unknown, a value is of a wrong type or out of range, or the recipe
            asks for what only version 0.1.0 trains.
    """
    values = dict(values)
    augment = values.pop("augment", {})
    if not isinstance(augment, dict):
        raise TrainingError(f"{where}: augment is a table: [augment]")
    values = _without_removed(values, ("probe",), where)
    values.pop("probe_weight", None)
    augment = _without_removed(augment, ("recast", "relight"), where)
    check_values(TrainingConfig, values, where)
    check_values(AugmentConfig, augment, f"{where}: augment")
    return TrainingConfig(**values, augment=AugmentConfig(**augment))


def _without_removed(values: dict[str, Any], keys: tuple[str, ...], where: str) -> dict[str, Any]:
    """Return the values without keys of earlier recipes that are switched off.

    Raises:
        TrainingError: one is switched on.
    """
    for key in keys:
        if values.get(key):
            raise TrainingError(
                f"{where}: {key} = {str(values[key]).lower()} is no longer supported (it was for "
                f"wildlife-v3 and experiments); train with version 0.1.0, or remove {key}"
            )
    return {key: value for key, value in values.items() if key not in keys}
