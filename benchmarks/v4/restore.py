"""Get a student back from a released int8 file, whose run is lost.

    python benchmarks/v4/restore.py export/wildlife-v4 --runs runs/v4 --like without02 --name v4

The stages that training keeps frozen are ImageNet's, and so known exactly; the others are what the
file holds, rounded to 7 bits. Labels that the file does not name, and what the student imitated,
are taken from the run ``--like``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import onnx
import torch
import train
from onnx import numpy_helper

from recognizer.model.bundle import load_bundle

PREFIX = "network."


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights and biases of an int8 file by name, as numbers with a point."""
    graph = onnx.load(str(path)).graph
    found = {t.name: numpy_helper.to_array(t).copy() for t in graph.initializer}
    tensors = {
        name.removeprefix(PREFIX): torch.from_numpy(values)
        for name, values in found.items()
        if name.startswith(f"{PREFIX}head.")
    }
    for node in graph.node:
        source, scale = node.input[:2] if node.op_type == "DequantizeLinear" else ("", "")
        if source.startswith(PREFIX):
            values = torch.from_numpy(found[source]).float()
            shape = (-1, *[1] * (values.ndim - 1))
            name = source.removeprefix(PREFIX).removesuffix("_quantized")
            tensors[name] = values * torch.from_numpy(found[scale]).reshape(shape)
    return tensors


def main() -> None:
    """Write the checkpoint of a run that ends with the released weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--like", required=True)
    parser.add_argument("--name", required=True)
    asked = parser.parse_args()
    bundle = load_bundle(asked.bundle)
    like = asked.runs / "students" / asked.like
    run = train.Run(asked.runs, asked.like, train.recipe_of(like))
    held = weights_of(asked.bundle / "model.onnx")
    state = {name: value.clone() for name, value in run.averaged.items()}
    named = [run.labels.index(name) for name in bundle.label_names]
    for name, value in state.items():
        if name.startswith("imitation"):
            continue
        if name.startswith("head"):
            value[named] = held[name].reshape(len(named), *value.shape[1:])
        elif dict(run.student.named_parameters())[name].requires_grad:
            value.copy_(held[name].reshape(value.shape))
        else:
            largest = value.abs().reshape(len(value), -1).amax(1)
            away = (held[name].reshape(value.shape) - value).abs().reshape(len(value), -1).amax(1)
            print(f"{name}: {float((away / largest).max()):.4f} of the largest weight off")
    folder = asked.runs / "students" / asked.name
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"averaged": state}, folder / "checkpoint.pt")


if __name__ == "__main__":
    main()
