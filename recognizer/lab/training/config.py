"""The recipe of a model, a TOML file; unknown keys and values out of range are errors."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from recognizer._files import read_toml, toml_words
from recognizer.errors import TrainingError, unknown_name

Count = Annotated[int, Meta(ge=0)]
AtLeastOne = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]

SHARES = {
    # The photo becomes a part of a picture, in one of these ways at most,
    "collage": 0.09, "frame": 0.08, "screenshot": 0.05,
    # is turned by quarters, by up to 20 degrees or by any angle, or seen at a slant,
    "quarter": 0.22, "tilt": 0.3, "free": 0.07, "perspective": 0.08,
    # something is written on it,
    "text": 0.12, "watermark": 0.07,
    # or it loses colors, sharpness, size or a part.
    "hue": 0.1, "cast": 0.1, "gray": 0.06, "posterize": 0.02,
    "shrink": 0.35, "blur": 0.15, "noise": 0.08, "erase": 0.06,
}  # fmt: skip
"""How often training photos meet an edit."""


class AugmentConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How often training photos are changed; probabilities from 0 to 1."""

    identity_prob: Share = 0.5  # only mirrored, a little cropped and recolored
    canvas_prob: Share = 0.15  # the photo, smaller, on another one (screenshot, distance)
    min_crop: Share = 0.4  # smallest share of the area that a random crop keeps
    shares: dict[str, Share] = {}  # other shares of single edits than those of SHARES

    def __post_init__(self) -> None:
        if unknown := next((name for name in self.shares if name not in SHARES), None):
            raise ValueError(unknown_name("edit", unknown, [*SHARES]))


class EnsembleConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Networks beside the trained one: see :mod:`recognizer.lab.training.ensemble`."""

    backbones: list[str] = []  # timm models with ImageNet weights; none: no ensemble
    recipe: dict[str, Any] = {}
    """Other values of the recipe's keys for them, but for ``backbone`` and ``weights``. Without
    ``photos`` only their heads are fitted."""

    gate: Share = 1.0
    """Share of the photos without a product that they look at, too; 1: they look at all photos."""

    rendered: str = ""
    """A folder of rendered pictures (datasets/renders), from which all networks learn."""


class TrainingConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that makes a model from labelled photos."""

    name: str = "wildlife"  # in messages; a bundle is called as the folder it is exported to
    folds: Annotated[int, Meta(ge=2)] | str = 3
    """How many folds of sources are left out in turn, to measure, calibrate and set thresholds on
    sources that were not seen (fewer where there are fewer sources). Or a table of them, relative
    to the working folder."""

    seed: Count = 0  # on a CPU the same seed gives the same weights
    backbone: str = "tf_efficientnet_lite0"  # an EfficientNet or a MobileNet, by timm's name
    weights: str = "imagenet"
    """First weights of the backbone: ``imagenet`` (a package's if there is one for the backbone,
    otherwise timm's), ``none``, or the path of a safetensors file: timm's, or a run's
    ``network.safetensors``, of whose head half is kept for labels that both have."""

    input_size: AtLeastOne = 224  # side of the input, in pixels
    pooling: Literal["mean", "sqrt_mean"] = "mean"
    """The input of the head: the mean of the features, or its root, by which it distinguishes more,
    for backbones whose features are never negative (ReLU, ReLU6)."""

    keep_head: bool = False
    """Begin with the head of ``weights`` as it is, not with its mean with a regression."""

    head_c: Annotated[float, Meta(gt=0)] = 0.01
    """Inverse of the penalty, for standardised features, of the logistic regression on the features
    of the backbone that the head begins as."""

    photos: Count = 28800
    """How many a run sees, drawn with replacement. With 0 the backbone stays as it is, and the head
    is that regression."""

    batch_size: AtLeastOne = 48
    learning_rate: NotNegative = 4e-4  # peak rate of the head
    backbone_rate: NotNegative = 0.625  # that of the backbone, as a factor of it
    freeze_stages: Count = 0
    """First stages of an EfficientNet that keep their weights, with the stem."""

    pull: NotNegative = 2e-4  # of the backbone towards its first weights, per step, at peak rate
    label_smoothing: Share = 0.05  # share of the target spread over all labels
    distill: Share = 0.0  # of the target, that the ensemble's heads say of the photo without edits
    average_weight: Share = 0.75
    """How far the finished weights are on the way from the first to the averaged ones (Wortsman et
    al., 2022). Less than all of it finds more at sources that were never seen."""

    label_power: float = 0.5
    """Labels are drawn in proportion to their photo count to this power (0: all equally often)."""

    source_power: float = 0.5  # the same for the sources within a label
    label_weights: dict[str, NotNegative] = {}  # factors on how often a label is drawn
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    augment: AugmentConfig = msgspec.field(default_factory=AugmentConfig)
    ensemble: EnsembleConfig = msgspec.field(default_factory=EnsembleConfig)

    def __post_init__(self) -> None:
        if self.distill and not self.ensemble.backbones:
            raise ValueError("distill needs ensemble.backbones")

    @property
    def beside(self) -> "list[TrainingConfig]":
        """The recipes of the networks beside the trained one."""
        weights = "none" if self.weights == "none" else "imagenet"
        fixed = {"weights": weights, "keep_head": False, "distill": 0.0, "ensemble": {}}
        changes = {"photos": 0, "freeze_stages": 0} | self.ensemble.recipe | fixed
        own = _changed(msgspec.to_builtins(self), changes)
        where = "ensemble.recipe"
        return [config_from_dict(own | {"backbone": b}, where) for b in self.ensemble.backbones]


def _changed(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return other values; of a table only the given keys change, and an empty one empties it."""
    changed = {**values, **changes}
    for key, new in changes.items():
        if new and isinstance(new, dict) and isinstance(old := values.get(key), dict):
            changed[key] = _changed(old, new)
    return changed


def differences(recipe: Mapping[str, Any], other: Mapping[str, Any], within: str = "") -> list[str]:
    """Return ``KEY=VALUE`` for each key of a recipe whose value another one does not have."""
    found = []
    for key, value in recipe.items():
        if isinstance(value, Mapping) and isinstance(theirs := other.get(key), Mapping):
            found += differences(value, theirs, f"{within}{key}.")
        elif key not in other or value != other[key]:
            found.append(f"{within}{key}={json.dumps(value)}")
    return found


def carried_recipes() -> dict[str, Path]:
    package = Path(__file__).parents[2]
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
    config = config_from_dict(read_toml(path, TrainingError), str(path))
    for change in changes:
        key, equals, text = (part.strip() for part in change.partition("="))
        if not equals or not key:
            raise TrainingError(f"--set {change}: write KEY=VALUE, as photos=9600")
        try:
            new = tomllib.loads(f"{key} = {text}")
        except tomllib.TOMLDecodeError:
            new = {key: text}
        config = config_from_dict(_changed(msgspec.to_builtins(config), new), f"--set {change}")
    return config


def config_from_dict(values: Mapping[str, Any], where: str) -> TrainingConfig:
    """Return the configuration that values describe; ``where`` they are from is for messages."""
    try:
        return msgspec.convert(values, TrainingConfig)
    except msgspec.ValidationError as error:
        words = toml_words(error)
        kinds = (TrainingConfig, AugmentConfig, EnsembleConfig)
        types = {field.name: field.type for kind in kinds for field in msgspec.structs.fields(kind)}
        if unknown := re.search("unknown field `([^`]*)`", words):
            words = unknown_name("key", unknown[1], list(types))
        elif choice := re.search(r"enum value .*\.(\w+)`", words):
            words += f"; one of {', '.join(get_args(types[choice[1]]))}"
        raise TrainingError(f"{where}: {words}") from error
