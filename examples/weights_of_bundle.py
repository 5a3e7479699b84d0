"""Writes the first network of a bundle as a safetensors file, with which a recipe can begin.

    python examples/weights_of_bundle.py wildlife-v7 v7.safetensors
    recognizer train --data data/ --set weights=v7.safetensors \
        --set backbone=tf_efficientnet_lite0 --set input_size=256

Weights of an int8 bundle stay rounded, which costs hardly anything. The file also has the head, its
labels, and the digests of the bundle's training photos.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from safetensors.torch import save_file

from recognizer import Recognizer

NETWORK = "network."  # before the names of the weights in the file of a model
STEM = "backbone.conv_stem."


def tensors_of(model: Path) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a model's first network, by their names in a run."""
    graph = onnx.load(str(model)).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    values = {name: array for name, array in stored.items() if array.dtype == np.float32}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0].startswith(NETWORK):
            steps, scale = (stored[name] for name in node.input[:2])
            shaped = scale.reshape(-1, *[1] * (steps.ndim - 1))
            values[node.input[0].removesuffix("_quantized")] = steps * shaped
    if "head_bias" in values:  # which the export had left out, and the correction added
        values[f"{NETWORK}head.bias"] = values["head_bias"]
    values = {n.removeprefix(NETWORK): v for n, v in values.items() if n.startswith(NETWORK)}
    if "stem_read" in {name for node in graph.node for name in node.output}:
        values[f"{STEM}weight"] = narrow_kernel(values[f"{STEM}weight"])
        values[f"{STEM}bias"] = values[f"{STEM}bias"][: len(values[f"{STEM}weight"])]
    rows = len(values["head.weight"])
    values.setdefault("head.bias", np.zeros(rows, np.float32))
    return {name: np.array(value, np.float32) for name, value in values.items()}


def narrow_kernel(wide: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the kernel of a stem that reads four pixels as one and writes two outputs as one."""
    outputs, channels, rows = wide.shape[0] // 2, wide.shape[1] // 4, wide.shape[2]
    first = wide.reshape(2, outputs, 4, channels, rows, 2)[0]
    columns = (divmod(column, 4) for column in range(3))
    return np.stack([first[:, pixel, :, :, block] for block, pixel in columns], axis=-1)


def main(arguments: list[str] | None = None) -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description="Write the first network of a bundle.")
    parser.add_argument("bundle")
    parser.add_argument("file", help="ends in .safetensors")
    options = parser.parse_args(arguments)
    bundle = Recognizer.load(options.bundle).bundle
    tensors = {
        name: torch.from_numpy(value)
        for name, value in tensors_of(bundle.path / "model.onnx").items()
    }
    if (digests := bundle.path / "training-photos.npy").is_file():
        tensors["learned"] = torch.from_numpy(np.load(digests).view(np.int64))
    recipe = bundle.training.recipe if bundle.training else {}
    about = {
        # Enrolled labels have heads of their own, behind these.
        "labels": bundle.label_names[: len(tensors["head.weight"])],
        "backbone": bundle.model.backbone,
        "input_size": recipe.get("input_size", bundle.input.size),
        "pooling": recipe.get("pooling", "mean"),
    }
    save_file(tensors, options.file, {"recognizer": json.dumps(about)})


if __name__ == "__main__":
    main()
