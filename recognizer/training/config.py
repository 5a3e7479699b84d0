"""The recipe of a model, a TOML file.

Unknown keys and values out of range are errors, so that a misspelt key is never ignored.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from recognizer.errors import TrainingError

Count = Annotated[int, Meta(ge=0)]
AtLeastOne = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """How often training photos are changed; probabilities from 0 to 1.

    Attributes:
        identity_prob: leave a photo nearly as it is: mirrored, a little cropped and recoloured.
        object_prob: cut the object out and lay it, or several of its kind, on another background.
        canvas_prob: put the photo, smaller, on another one (screenshot, distance).
        min_crop: smallest share of the area that a random crop keeps.
        damage: factor on how often colour is dropped and photos are blurred, shrunk, recompressed,
            noisy or covered in part.
    """

    identity_prob: Share = 0.5
    object_prob: Share = 0.35
    canvas_prob: Share = 0.15
    min_crop: Share = 0.4
    damage: NotNegative = 1.0


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
    input_size: AtLeastOne = 320
    share: Annotated[float, Meta(ge=0.001, le=0.999)] = 0.1


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
        backbone_rate: the rate of the backbone, as a factor of it.
        freeze_stages: how many of the first stages of an EfficientNet, or blocks of a transformer,
            keep their weights, with the stem.
        pull: how strongly the backbone's weights are pulled towards where they began, per step and
            at the peak rate.
        weight_decay: AdamW's decay of weight matrices.
        label_smoothing: share of the target spread over all labels.
        average_weight: how far the finished weights are on the way from the first to the averaged
            ones. Less than all of it finds more at sources that were never seen.
        label_power: labels are drawn in proportion to their photo count to this power (0: all
            equally often, 1: in proportion).
        source_power: the same for the sources within a label.
        label_weights: factors on how often a label is drawn, by label name.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        augment: see :class:`AugmentConfig`.
        cascade: see :class:`CascadeConfig`.
    """

    name: str = "wildlife"
    corrections: list[str] = field(default_factory=list)
    folds: Count | str = 3
    seeds: AtLeastOne = 1
    seed: Count = 0
    backbone: str = "tf_efficientnet_lite0"
    weights: str = "imagenet"
    input_size: AtLeastOne = 224
    pooling: Literal["mean", "sqrt_mean"] = "mean"
    head_c: Annotated[float, Meta(gt=0)] = 0.01
    photos: Count = 28800
    batch_size: AtLeastOne = 48
    learning_rate: NotNegative = 4e-4
    backbone_rate: NotNegative = 0.625
    freeze_stages: Count = 0
    pull: NotNegative = 2e-4
    weight_decay: NotNegative = 0.0
    label_smoothing: Share = 0.05
    average_weight: Share = 0.75
    label_power: float = 0.5
    source_power: float = 0.5
    label_weights: dict[str, NotNegative] = field(default_factory=dict)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    cascade: CascadeConfig = field(default_factory=CascadeConfig)

    @property
    def served_size(self) -> int:
        """Side of the input of the model that is served, in pixels."""
        return self.cascade.input_size if self.cascade.backbones else self.input_size

    def __post_init__(self) -> None:
        if self.folds == 1:
            raise TrainingError("folds = 1: 0, or at least 2")
        if self.served_size < self.input_size:
            raise TrainingError(
                f"cascade.input_size = {self.served_size}: at least {self.input_size}, the "
                "input_size of the first network"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain values, for ``recipe.json`` and ``bundle.json``."""
        return dataclasses.asdict(self)


DEFAULT_RECIPE = "small-cpu"
"""The recipe that is used where none is given."""

_OFF: dict[str, Any] = {
    "layer_decay": 1.0,
    "precision": "auto",
    **dict.fromkeys(("mixup", "drop_path", "collage_prob", "text_prob"), 0.0),
}
"""Keys of earlier versions, which a ``recipe.json`` may have with the values that did nothing."""


def carried_recipes() -> dict[str, Path]:
    """Return the recipes that this package carries, by name."""
    package = Path(__file__).parent.parent
    # An installed package carries them inside; a checkout keeps them in export/.
    shelves = [package.parent / "export" / "recipes", package / "recipes"]
    return {file.stem: file for shelf in shelves for file in sorted(shelf.glob("*.toml"))}


def load_config(recipe: str | Path, changes: Sequence[str] = ()) -> TrainingConfig:
    """Read a recipe: a file, or the name of one that this package carries.

    ``changes`` are other values of its keys, each as ``KEY=VALUE``; the value is TOML, or text.
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
    values = _checked(TrainingConfig, values, str(path))
    for change in changes:
        key, equals, text = (part.strip() for part in change.partition("="))
        if not equals or not key:
            raise TrainingError(f"--set {change}: write KEY=VALUE, as photos=9600")
        try:
            new = tomllib.loads(f"{key} = {text}")
        except tomllib.TOMLDecodeError:
            new = {key: text}
        for name, value in _checked(TrainingConfig, new, f"--set {change}").items():
            is_table = isinstance(value, dict) and isinstance(values.get(name), dict)
            values[name] = {**values[name], **value} if is_table else value
    return msgspec.convert(values, TrainingConfig)


def config_from_dict(values: Mapping[str, Any], where: str) -> TrainingConfig:
    """Return a configuration from what :meth:`TrainingConfig.to_dict` of any version gave."""
    kept = dict(values)
    kept["augment"] = dict(kept.get("augment", {}))
    for table in (kept, kept["augment"]):
        for key in [k for k, off in _OFF.items() if table.get(k) == off]:
            del table[key]
    return msgspec.convert(_checked(TrainingConfig, kept, where), TrainingConfig)


def _checked(kind: Any, values: Mapping[str, Any], where: str, table: str = "") -> dict[str, Any]:
    """Return the values of a table, or raise a TrainingError that names the first wrong one."""
    hints, found = get_type_hints(kind, include_extras=True), dict[str, Any]()
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, 1)
            words = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(hints))}"
            raise TrainingError(f"{where}: unknown key {table + key!r}; {words}")
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, dict):
                raise TrainingError(f"{where}: {key} is a table: [{key}]")
            found[key] = _checked(hint, value, where, f"{key}.")
            continue
        try:
            found[key] = msgspec.convert(value, hint)
        except msgspec.ValidationError as error:
            is_choice = get_origin(hint) is Literal
            words = f"one of {', '.join(get_args(hint))}" if is_choice else str(error)
            raise TrainingError(f"{where}: {table}{key} = {value!r}: {words}") from error
    return found
