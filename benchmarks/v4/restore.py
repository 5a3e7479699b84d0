"""Get a student back from a released int8 file, whose run is lost.

    python benchmarks/v4/restore.py export/wildlife-v4 --runs runs/v4 --name released

The stages that training keeps frozen are ImageNet's, and so known exactly; the others are what the
file holds, rounded to 7 bits. Labels that it does not name, and what the student imitated, are as
before any training. Averaged weights of a run are those that are finished at its ``share``.
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
    parser.add_argument("--name", required=True)
    asked = parser.parse_args()
    bundle = load_bundle(asked.bundle)
    run = train.Run(asked.runs, asked.name, train.Recipe(samples=0))
    held = weights_of(asked.bundle / "model.onnx")
    named = [run.labels.index(name) for name in bundle.label_names]
    learned = {name for name, value in run.student.named_parameters() if value.requires_grad}
    away: list[float] = []
    for name, value in run.averaged.items():
        start, rows = run.start[name], named if name.startswith("head") else slice(None)
        if name in learned and not name.startswith("imitation"):
            finished = held[name].reshape(start[rows].shape)
            value[rows] = start[rows].lerp(finished, 1 / run.recipe.share)
        elif name in held:
            away.append(float((held[name].reshape(start.shape) - start).abs().max()))
            away[-1] /= float(start.abs().max())
    # Half a step of 7 bits, where all of it is what rounding did.
    print(f"frozen weights differ from ImageNet's by at most {max(away):.4f} of a layer's largest")
    run.save()


if __name__ == "__main__":
    main()
