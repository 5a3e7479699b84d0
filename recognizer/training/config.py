"""The recipe of a model, a TOML file.

Unknown keys and values out of range are errors, so that a misspelt key is never ignored.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recognizer.errors import TrainingError


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """How often training photos are changed; probabilities from 0 to 1.

    Attributes:
        identity_prob: leave a photo nearly as it is: mirrored, a little cropped and recoloured.
        object_prob: cut the object out and lay it, or several of its kind, on another background.
        canvas_prob: put the photo, smaller, on another one (screenshot, distance).
        collage_prob: make it one of 2 to 12 tiles.
        text_prob: write over it as sellers do: advertisement, watermark, price tag, frame.
        min_crop: smallest share of the area that a random crop keeps.
        damage: factor on how often colour is dropped and photos are blurred, shrunk, recompressed,
            noisy or covered in part.
    """

    identity_prob: float = 0.5
    object_prob: float = 0.35
    canvas_prob: float = 0.15
    collage_prob: float = 0.0
    text_prob: float = 0.0
    min_crop: float = 0.4
    damage: float = 1.0


@dataclass(frozen=True, slots=True)
class CascadeConfig:
    """A second stage behind the trained network: see :mod:`recognizer.training.cascade`.

    Attributes:
        backbones: timm models of the ensemble, with ImageNet weights that stay; none for no second
            stage.
        input_size: side of their input, and so of the model's, in pixels.
        share: of photos without a product that reach the second stage, on sources not seen.
    """

    backbones: list[str] = field(default_factory=list)
    input_size: int = 320
    share: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """All that makes a model from labelled photos.

    Attributes:
        name: what messages call the recipe. A bundle is called as the folder it is exported to.
        corrections: tables of corrected labels, relative to the working folder.
        folds: how many folds of sources are left out in turn, to measure, calibrate and set
            thresholds on sources that were not seen (fewer where there are fewer sources); 0 for
            none. Or a table of them, relative to the working folder.
        seeds: how many runs, which differ only in their seed, the weights are the mean of.
        seed: of the first run. On a CPU the same seed gives the same weights.
        backbone: a timm model name: a convolutional network, or a vision transformer (DINOv2,
            DINOv3, SigLIP, CLIP, EVA, Swin), whose maps come from its patches.
        weights: with which the backbone begins: ``imagenet`` (a package's if there is one for the
            backbone, otherwise timm's), ``none``, the path of a safetensors file, or a bundle: a
            folder, or the name of one that this package carries.
        input_size: side of the square input in pixels; a multiple of a transformer's patch.
        pooling: what the head sees of the features: their ``mean``, or its square root
            (``sqrt_mean``), by which it distinguishes more; for backbones whose features are never
            negative (ReLU, ReLU6).
        head_c: the head begins as a logistic regression on the features of the backbone; this is
            the inverse of its penalty, for standardised features.
        photos: how many photos a run sees, drawn with replacement. With 0 the backbone stays as it
            is, and the head is that regression.
        batch_size: photos in a step.
        learning_rate: peak rate of the head.
        backbone_rate: the rate of the backbone's last layer, as a factor of it.
        layer_decay: factor on the rate from each layer of the backbone to the one before it.
        freeze_stages: how many of the first stages of an EfficientNet, or blocks of a transformer,
            keep their weights, with the stem.
        pull: how strongly the backbone's weights are pulled towards where they began, per step and
            at the peak rate.
        weight_decay: AdamW's decay of weight matrices.
        label_smoothing: share of the target spread over all labels.
        mixup: Beta parameter of mixup; 0 for none.
        drop_path: stochastic depth.
        average_weight: how far the finished weights are on the way from the first to the averaged
            ones. Less than all of it finds more at sources that were never seen.
        label_power: labels are drawn in proportion to their photo count to this power (0: all
            equally often, 1: in proportion).
        source_power: the same for the sources within a label.
        label_weights: factors on how often a label is drawn, by label name.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        precision: ``fp32``, ``bf16`` or ``auto``: what is faster.
        augment: see :class:`AugmentConfig`.
        cascade: see :class:`CascadeConfig`.
    """

    name: str = "wildlife"
    corrections: list[str] = field(default_factory=list)
    folds: int | str = 3
    seeds: int = 1
    seed: int = 0
    backbone: str = "tf_efficientnet_lite0"
    weights: str = "imagenet"
    input_size: int = 224
    pooling: str = "mean"
    head_c: float = 0.01
    photos: int = 28800
    batch_size: int = 48
    learning_rate: float = 4e-4
    backbone_rate: float = 0.625
    layer_decay: float = 1.0
    freeze_stages: int = 0
    pull: float = 2e-4
    weight_decay: float = 0.0
    label_smoothing: float = 0.05
    mixup: float = 0.0
    drop_path: float = 0.0
    average_weight: float = 0.75
    label_power: float = 0.5
    source_power: float = 0.5
    label_weights: dict[str, float] = field(default_factory=dict)
    device: str = "auto"
    precision: str = "auto"
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    cascade: CascadeConfig = field(default_factory=CascadeConfig)

    @property
    def served_size(self) -> int:
        """Side of the input of the model that is served, in pixels."""
        return self.cascade.input_size if self.cascade.backbones else self.input_size

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            TrainingError: a value is out of range.
        """
        choices = {
            "pooling": ("mean", "sqrt_mean"),
            "device": ("auto", "cpu", "cuda", "mps"),
            "precision": ("auto", "fp32", "bf16"),
        }
        for key, allowed in choices.items():
            if getattr(self, key) not in allowed:
                raise TrainingError(f"{key} = {getattr(self, key)!r}: one of {', '.join(allowed)}")
        bounds = {
            **dict.fromkeys(("input_size", "batch_size", "seeds"), (1, None)),
            **dict.fromkeys(("photos", "freeze_stages", "seed", "pull", "weight_decay"), (0, None)),
            **dict.fromkeys(("mixup", "learning_rate", "backbone_rate"), (0, None)),
            **dict.fromkeys(("label_smoothing", "drop_path", "average_weight"), (0, 1)),
        }
        for key, (low, high) in bounds.items():
            _check_range(key, getattr(self, key), low, high)
        for key in ("layer_decay", "head_c"):
            if getattr(self, key) <= 0:
                raise TrainingError(f"{key} = {getattr(self, key)}: above 0")
        if isinstance(self.folds, int) and (self.folds < 0 or self.folds == 1):
            raise TrainingError(f"folds = {self.folds}: 0, or at least 2")
        if self.cascade.backbones:
            _check_range("cascade.input_size", self.cascade.input_size, self.input_size, None)
        _check_range("cascade.share", self.cascade.share, 0.001, 0.999)
        for part in dataclasses.fields(self.augment):
            high = None if part.name == "damage" else 1
            _check_range(f"augment.{part.name}", getattr(self.augment, part.name), 0, high)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain values, for checkpoints and ``bundle.json``."""
        return dataclasses.asdict(self)


def _check_range(key: str, value: float, low: float, high: float | None) -> None:
    if value < low or (high is not None and value > high):
        words = f"at least {low}" if high is None else f"from {low} to {high}"
        raise TrainingError(f"{key} = {value}: {words}")


DEFAULT_RECIPE = "small-cpu"
"""The recipe that is used where none is given."""


def carried_recipes() -> dict[str, Path]:
    """Return the recipes that this package carries, by name."""
    package = Path(__file__).parent.parent
    # An installed package carries them inside; a checkout keeps them in export/.
    shelves = [package.parent / "export" / "recipes", package / "recipes"]
    return {file.stem: file for shelf in shelves for file in sorted(shelf.glob("*.toml"))}


def load_config(recipe: str | Path, changes: Sequence[str] = ()) -> TrainingConfig:
    """Read a recipe.

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
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"{path}: {error}") from error
    for change in changes:
        key, equals, text = (part.strip() for part in change.partition("="))
        if not equals or not key:
            raise TrainingError(f"{change!r}: write KEY=VALUE, as photos=9600")
        try:
            new = tomllib.loads(f"{key} = {text}")
        except tomllib.TOMLDecodeError:
            new = {key: text}
        for name, value in new.items():
            is_table = isinstance(value, dict) and isinstance(values.get(name), dict)
            values[name] = {**values[name], **value} if is_table else value
    return config_from_dict(values, str(path))


def config_from_dict(values: Mapping[str, Any], where: str = "recipe") -> TrainingConfig:
    """Return a configuration from plain values, as :meth:`TrainingConfig.to_dict` gives them.

    Raises:
        TrainingError: a key is unknown, or a value is of a wrong type or out of range.
    """
    rest, tables = dict(values), {}
    _check_keys(TrainingConfig(), {k: v for k, v in rest.items() if k not in _TABLES}, where)
    for name, kind in _TABLES.items():
        table = rest.pop(name, {})
        if not isinstance(table, dict):
            raise TrainingError(f"{where}: {name} is a table: [{name}]")
        _check_keys(kind(), table, f"{where}: {name}")
        tables[name] = kind(**table)
    return TrainingConfig(**rest, **tables)


_TABLES: dict[str, Any] = {"augment": AugmentConfig, "cascade": CascadeConfig}


def _check_keys(defaults: Any, values: Mapping[str, Any], where: str) -> None:
    known = {part.name for part in dataclasses.fields(defaults)}
    for key, value in values.items():
        if key not in known:
            raise TrainingError(f"{where}: unknown key {key!r}; known: {', '.join(sorted(known))}")
        expected: tuple[type, ...] = (type(getattr(defaults, key)),)
        if expected == (float,):
            expected = (int, float)
        if key == "folds":
            expected = (int, str)
        if not isinstance(value, expected) or isinstance(value, bool):
            raise TrainingError(f"{where}: {key} = {value!r} is of the wrong type")
