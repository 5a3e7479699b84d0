"""Make the int8 file of a student, with weights of 7 bits.

The student is made used to rounding (``recognizer.training.rounding``), rounded, and its head is
corrected (``recognizer.training.quantization``). A run that leaves folds out is scored on them
by the exact file and by the int8 files with and without both.

    python benchmarks/v4/quantise.py --runs runs/v4 --name without02
    python benchmarks/v4/quantise.py --runs runs/v4 --name final
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import heads
import measure
import numpy as np
import torch
import train
from numpy.typing import NDArray
from torch import nn

from recognizer.training import onnx_export
from recognizer.training.model import ProductNetwork
from recognizer.training.quantization import correct_head, quantize, run_file
from recognizer.training.rounding import RoundedWeight, learn_rounding

COMPARED = 64
PHOTOS = 1500
RANGED = 300
"""Photos by which the ranges of activations are set."""


def served_network(student: train.Student, named: list[int]) -> onnx_export.ServedNetwork:
    """Return the student, with the outputs that have a name, in the form that is exported."""
    weight, bias = student.head.weight[named], student.head.bias[named]
    network = ProductNetwork(
        copy.deepcopy(student.backbone), weight.shape[1], len(named), 0.0, root=True
    )
    with torch.no_grad():
        network.head.weight.copy_(weight[:, :, None, None])
        network.head.bias.copy_(bias)
    return onnx_export.ServedNetwork(network.eval(), "softmax", len(named)).eval()


class Inputs:
    """Model inputs of training photos that a run has seen, drawn as in training."""

    def __init__(self, run: train.Run) -> None:
        self.run, self.photos = run, run.sampler.photos
        table = self.photos.table
        seen = (table.split == "train") & ~table.fold.isin(run.recipe.held)
        self.places = np.flatnonzero(seen)
        weight = heads.weights_of(table[seen].reset_index(drop=True), 0.5, 0.5)
        self.weight = weight / weight.sum()

    def evenly(self, count: int) -> NDArray[np.uint8]:
        """Return photos as they are served, each as likely as any other."""
        return self._squares(np.random.default_rng(0).permutation(self.places)[:count])

    def weighted(self, count: int) -> NDArray[np.uint8]:
        """Return photos as they are served, drawn by label and group."""
        drawn = np.random.default_rng(5).choice(self.places, count, replace=False, p=self.weight)
        return self._squares(drawn)

    def _squares(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.stack([self.photos.square(int(i), self.run.recipe.size) for i in places])

    def batches(self, steps: int) -> Iterator[torch.Tensor]:
        """Yield batches of training at full size."""
        sampler = self.run.sampler
        sampler.recipe = replace(sampler.recipe, small_share=0.0, seed=9)
        for step in range(steps):
            yield sampler.batch(step)[0]


def answer(student: train.Student, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return embedding and logits in bfloat16."""
    with torch.autocast("cpu", torch.bfloat16):
        embedding, logits = student(images)
    return embedding.float(), logits.float()


def used_to_rounding(
    student: train.Student, inputs: Inputs, steps: int, rate: float
) -> train.Student:
    """Return a copy of the student that answers much the same when it is rounded."""
    ranged = torch.from_numpy(inputs.evenly(RANGED)).split(12)
    started, losses = time.monotonic(), [0.0]

    def on_step(step: int, loss: float) -> None:
        losses.append(loss)
        if step % 5 == 0:
            took = time.monotonic() - started
            print(f"rounding {step}/{steps} {np.mean(losses[-5:]):.4f} {took:.0f} s", flush=True)

    return learn_rounding(
        student,
        answer,
        ranged,
        inputs.batches(steps),
        steps=steps,
        rate=rate,
        on_step=on_step,
    )


@torch.no_grad()
def print_sources_of_error(student: train.Student, inputs: Inputs) -> None:
    """Print how far the embedding moves, as a share of its variance, when parts are rounded."""
    images = torch.from_numpy(inputs.weighted(COMPARED)).split(12)
    first = ("conv_stem", *(f"blocks.{i}" for i in range(inputs.run.recipe.freeze)))
    parts: dict[str, Callable[[str, nn.Conv2d], bool]] = {
        "all weights": lambda _, __: True,
        "depthwise weights": lambda _, layer: layer.groups > 1,
        "weights of the first stages, which training keeps": lambda name, _: name.startswith(first),
        "weights of the others": lambda name, _: not name.startswith(first),
    }
    exact = torch.cat([answer(student, part)[0] for part in images])
    for words, chosen in parts.items():
        changed, round_weight = copy.deepcopy(student), RoundedWeight()
        for name, layer in changed.backbone.named_modules():
            if isinstance(layer, nn.Conv2d) and chosen(name, layer):
                layer.weight.copy_(round_weight(layer.weight))
        found = torch.cat([answer(changed, part)[0] for part in images])
        moved = (found - exact).square().mean() / exact.var(0).mean()
        print(f"rounded {words}: {float(moved):.4f}", flush=True)


def measure_held(run: train.Run, path: Path, named: list[int]) -> None:
    """Print the figures of a file on the folds that the run left out, and how far it is off."""
    photos = run.sampler.photos
    places = np.flatnonzero(photos.table.fold.isin(run.recipe.held))
    inputs = np.stack([photos.square(int(i), run.recipe.size) for i in places])
    table = photos.table.iloc[places].reset_index(drop=True)
    labels = [run.labels[i] for i in named]
    known = table.label.isin(labels).to_numpy()
    odds = run_file(path, inputs[known])
    np.savez(path.with_suffix(".held.npz"), odds=odds, row=table.row[known].to_numpy())
    scores = 1 / (1 + np.exp(-odds.astype(float)))
    found = measure.table_of(table[known].reset_index(drop=True), scores, labels)
    print(path.stem, measure.line(found), flush=True)
    exact = np.load(path.with_name("plain-fp32.held.npz"))["odds"]
    away = np.abs(scores - 1 / (1 + np.exp(-exact.astype(float))))
    print(f"    differs by {away.mean():.4f} in the mean, {away.max():.2f} at most", flush=True)


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--rate", type=float, default=1e-4)
    asked = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("THREADS", "1")))
    cv2.setNumThreads(1)
    folder = asked.runs / "students" / asked.name
    run = train.Run(asked.runs, asked.name, train.recipe_of(folder))
    size = run.recipe.size
    named = [i for i, name in enumerate(run.labels) if name not in train.TOO_FEW]
    inputs = Inputs(run)
    ranged, seen = inputs.evenly(RANGED), inputs.weighted(PHOTOS)
    out = folder / "onnx"
    out.mkdir(exist_ok=True)
    exact, plain, corrected, learned, tuned = (
        out / f"{name}.onnx"
        for name in ("plain-fp32", "plain-int8", "corrected-int8", "learned-fp32", "tuned-int8")
    )
    student = run.finished()
    served = served_network(student, named)
    onnx_export.export_fp32(served, size, exact)
    quantize(exact, plain, ranged)
    shutil.copy(plain, corrected)
    correct_head(exact, corrected, seen)
    if run.recipe.held:
        for path in (exact, plain, corrected):
            measure_held(run, path, named)
    print_sources_of_error(student, inputs)
    taught = student
    if asked.steps:
        taught = used_to_rounding(student, inputs, asked.steps, asked.rate)
        torch.save(taught.state_dict(), folder / "rounding.pt")
    onnx_export.export_fp32(served_network(taught, named), size, learned)
    quantize(learned, tuned, ranged)
    correct_head(exact, tuned, seen)
    if run.recipe.held:
        measure_held(run, tuned, named)
    proof = onnx_export.parity(served, exact, tuned, seen[:COMPARED])
    (out / "parity.json").write_text(json.dumps(dataclasses.asdict(proof)))


if __name__ == "__main__":
    main()
