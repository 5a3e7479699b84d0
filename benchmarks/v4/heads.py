"""Linear heads on frozen features: a multinomial logistic regression, out of fold.

    python benchmarks/v4/heads.py --runs runs/v4 --features lite0-plain224 lite2-plain260 --c 1e-3

Photos are weighted by label and by group: a label of n photos counts n ** label_power, a group
within it n ** group_power.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import measure
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from photos import Photos

Floats = NDArray[np.float32]

FRAGMENTS = 0.2
"""How much a museum's blackened fragments of ivory count: they look like stone, and teach that
stone is ivory."""


def load(runs: Path, names: list[str], rows: NDArray[np.int64]) -> Floats:
    """Return features side by side, (N, D); ``NAME:middle`` takes those of the middle stages."""
    parts = []
    for name in names:
        file, _, part = name.partition(":")
        with np.load(runs / "features" / f"{file}.npz") as found:
            place = pd.Series(np.arange(len(found["row"])), found["row"])
            parts.append(found[part or "last"][place[rows].to_numpy()].astype(np.float32))
    return np.concatenate(parts, 1)


def weights_of(table: pd.DataFrame, label_power: float, group_power: float) -> Floats:
    """Return the weight of each photo, of mean 1."""
    label = table.label.to_numpy(str)
    pair = np.char.add(np.char.add(label, "|"), table.group.to_numpy(str))
    names, place, counts = np.unique(pair, return_inverse=True, return_counts=True)
    of_pair = counts.astype(float) ** group_power
    owner = np.array([n.split("|")[0] for n in names])
    found = np.zeros(len(table))
    for name in np.unique(owner):
        own = owner == name
        total = counts[own].sum() ** label_power
        each = total * of_pair[own] / of_pair[own].sum() / counts[own]
        lookup = dict(zip(np.flatnonzero(own), each, strict=True))
        mine = label == name
        found[mine] = [lookup[p] for p in place[mine]]
    if "subtype" in table:
        blackened = (table.label == "ivory_worked") & table.subtype.str.startswith("fragment")
        found[blackened.to_numpy()] *= FRAGMENTS
    return (found / found.mean()).astype(np.float32)


def fit(
    x: Floats,
    y: NDArray[np.int64],
    weight: Floats,
    classes: int,
    c: float,
    steps: int = 60,
    start: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return (D + 1, classes) of a logistic regression with penalty |W|^2 / (2 c N).

    The features are standardised, the labels ``y`` numbers below ``classes``; ``start`` is a
    solution to begin with.
    """
    inputs = torch.cat([torch.from_numpy(x), torch.ones(len(x), 1)], 1)
    target, importance = torch.from_numpy(y), torch.from_numpy(weight) / float(weight.sum())
    w = torch.zeros(inputs.shape[1], classes) if start is None else start.clone()
    w.requires_grad_()
    optimizer = torch.optim.LBFGS(
        [w], max_iter=steps, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(inputs @ w, target, reduction="none")
        total = (loss * importance).sum() + (w[:-1] ** 2).sum() / (2 * c * len(x))
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(closure)  # type: ignore[arg-type]
    return w.detach()


def out_of_fold(
    x: Floats, table: pd.DataFrame, labels: list[str], weight: Floats, cs: list[float]
) -> dict[float, Floats]:
    """Return logits (N, labels) by heads that saw no photo of a photo's fold, for each C."""
    y = np.array([labels.index(n) for n in table.label])
    fold = table.fold.to_numpy()
    found = {c: np.zeros((len(x), len(labels)), np.float32) for c in cs}
    for f in np.unique(fold):
        kept, left = fold != f, fold == f
        mean, std = x[kept].mean(0), x[kept].std(0) + 1e-6
        inputs, start = (x[kept] - mean) / std, None
        for c in sorted(cs):
            start = fit(inputs, y[kept], weight[kept], len(labels), c, start=start)
            found[c][left] = ((x[left] - mean) / std) @ start[:-1].numpy() + start[-1].numpy()
    return found


def softmax(logits: Floats) -> Floats:
    """Return probabilities."""
    e = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--features", nargs="+", required=True)
    parser.add_argument("--c", nargs="+", type=float, default=[1e-3])
    parser.add_argument("--label-power", type=float, default=0.0)
    parser.add_argument("--group-power", type=float, default=0.5)
    parser.add_argument("--save", default="")
    asked = parser.parse_args()
    torch.set_num_threads(2)
    table = Photos(asked.runs / "cache").table
    table = table[table.split == "train"].reset_index(drop=True)
    labels = sorted(table.label.unique())
    x = load(asked.runs, asked.features, table.row.to_numpy())
    weight = weights_of(table, asked.label_power, asked.group_power)
    for c, logits in out_of_fold(x, table, labels, weight, asked.c).items():
        found = measure.table_of(table, softmax(logits).astype(float), labels)
        print(" ".join(asked.features), f"C {c} lp {asked.label_power} gp {asked.group_power}")
        print("   ", measure.line(found), flush=True)
        if asked.save:
            (asked.runs / "oof").mkdir(exist_ok=True)
            np.savez(
                asked.runs / "oof" / f"{asked.save}.npz",
                logits=logits,
                row=table.row.to_numpy(),
                labels=np.array(labels),
            )
