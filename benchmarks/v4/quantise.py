"""Make the int8 file of a student, as ``recognizer export`` does.

A run that leaves folds out is scored on them by the exact file, the int8 file, and the one with
its head corrected.

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
from pathlib import Path

import cv2
import heads
import measure
import numpy as np
import torch
import train
from numpy.typing import NDArray

from recognizer.training import onnx_export
from recognizer.training.model import ProductNetwork
from recognizer.training.quantization import correct_head, quantize, run_file

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
    exact, plain, tuned = (
        out / f"{name}.onnx" for name in ("plain-fp32", "plain-int8", "tuned-int8")
    )
    student = run.finished()
    served = served_network(student, named)
    onnx_export.export_fp32(served, size, exact)
    quantize(exact, plain, ranged)
    shutil.copy(plain, tuned)
    correct_head(exact, tuned, seen)
    if run.recipe.held:
        for path in (exact, plain, tuned):
            measure_held(run, path, named)
    proof = onnx_export.parity(served, exact, tuned, seen[:COMPARED])
    (out / "parity.json").write_text(json.dumps(dataclasses.asdict(proof)))


if __name__ == "__main__":
    main()
