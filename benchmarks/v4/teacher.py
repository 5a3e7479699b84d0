"""The teacher: one logistic regression on several frozen networks side by side.

Its head learns from the photos as they are (with ``--views`` from the pool, too, which finds less
of a fold that is left out); for a student that is measured on a fold, from nothing of that fold.
``--cross`` asks, for each photo, a head without the photo's fold.

    python benchmarks/v4/teacher.py --runs runs/v4 --name t --networks 0 1 2 --hold -1 2
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NamedTuple

import heads
import measure
import numpy as np
import pandas as pd
import pool
import torch
from networks import root
from numpy.typing import NDArray
from photos import Photos

Floats = NDArray[np.float32]
PLAIN = {0: "lite0-plain224", 1: "lite1-plain240", 2: "lite2-plain260"}
COMPONENTS = 1024
STEPS = 50


class Material(NamedTuple):
    """Everything there is to learn from: the training photos, then the pool.

    Attributes:
        table: ``label``, ``group``, ``fold``, ``product``, ``row`` (of a photo; -1 in the pool),
            ``place`` (in the pool; -1 for a photo).
        photos: how many of the first rows are photos as they are.
    """

    table: pd.DataFrame
    photos: int


def material(runs: Path, with_pool: bool = True) -> Material:
    """Return the table of the photos and, where there is one, of the pool."""
    table = Photos(runs / "cache").table
    table = table[table.split == "train"].reset_index(drop=True)
    columns = ["sha256", "label", "subtype", "group", "fold", "product", "row"]
    plain = table[columns].assign(place=-1)
    path = runs / "features" / "pool-lite0.npy"
    if not with_pool or not path.exists():
        return Material(plain, len(plain))
    count = len(np.load(path, mmap_mode="r"))
    views = pd.read_parquet(runs / "cache" / pool.TABLE).iloc[:count]
    places = np.flatnonzero(views.sha256.isin(table.sha256))  # a photo may have been excluded since
    views = views.iloc[places]
    product = table.drop_duplicates("label").set_index("label")["product"]
    views = views.assign(
        subtype="", row=-1, place=places, product=views.label.map(product).fillna(True)
    )
    return Material(pd.concat([plain, views[plain.columns]], ignore_index=True), len(plain))


def inputs(runs: Path, given: Material, networks: list[int]) -> Floats:
    """Return standardised features, turned onto their first principal components."""
    rows = given.table.row.to_numpy()[: given.photos]
    parts = [heads.load(runs, [PLAIN[n]], rows) for n in networks]
    if given.photos < len(given.table):
        places = given.table.place.to_numpy()[given.photos :]
        more = [np.load(runs / "features" / f"pool-lite{n}.npy")[places] for n in networks]
        parts = [
            np.concatenate([a, b.astype(np.float32)]) for a, b in zip(parts, more, strict=True)
        ]
    x = root(np.concatenate(parts, 1))
    plain = x[: given.photos]
    mean, std = plain.mean(0), plain.std(0) + 1e-6
    x = (x - mean) / std
    if x.shape[1] <= COMPONENTS:
        return x
    some = torch.from_numpy(x[: given.photos])
    _, vectors = torch.linalg.eigh(some.T @ some)
    return (torch.from_numpy(x) @ vectors[:, -COMPONENTS:].flip(1)).numpy()


def weights(given: Material, label_power: float, group_power: float, views: float) -> Floats:
    """Return weights by label and group; the pool together weighs ``views`` times the photos."""
    found = heads.weights_of(given.table, label_power, group_power)
    # The pool was drawn by label and group already: each of its views counts alike.
    count = len(found) - given.photos
    found[: given.photos] = heads.weights_of(given.table[: given.photos], label_power, group_power)
    if count:
        found[given.photos :] = views * given.photos / count
    return found


def load(runs: Path, name: str, table: pd.DataFrame) -> Floats:
    """Return the features of a teacher for the rows of a table."""
    with np.load(runs / "teacher" / f"{name}.npz") as found:
        x = found["x"].astype(np.float32)
        known = pd.MultiIndex.from_arrays([found["row"], found["place"]])
    place = table.place if "place" in table else np.full(len(table), -1)
    at = known.get_indexer(pd.MultiIndex.from_arrays([table.row, place]))
    if (at < 0).any():
        raise SystemExit(f"teacher {name} does not know {(at < 0).sum()} pictures: fit it again")
    return x[at]


def whole_fit(
    x: Floats, given: Material, labels: list[str], weight: Floats, c: float, hold: int
) -> Floats:
    """Return logits (N, labels) of all rows by one head that saw nothing of ``hold``."""
    y = np.array([labels.index(n) for n in given.table.label])
    kept = (given.table.fold != hold).to_numpy() & (weight > 0)
    head = heads.fit(x[kept], y[kept], weight[kept], len(labels), c, STEPS)
    return np.asarray(x @ head[:-1].numpy() + head[-1].numpy())


def cross_fit(
    x: Floats, given: Material, labels: list[str], weight: Floats, c: float, hold: int
) -> Floats:
    """Return logits (N, labels): of each row by a head without its fold and without ``hold``."""
    y = np.array([labels.index(n) for n in given.table.label])
    fold = given.table.fold.to_numpy()
    found = np.zeros((len(x), len(labels)), np.float32)
    start = None
    for f in np.unique(fold):
        kept = (fold != f) & (fold != hold) & (weight > 0)
        start = heads.fit(x[kept], y[kept], weight[kept], len(labels), c, STEPS, start)
        left = fold == f
        found[left] = x[left] @ start[:-1].numpy() + start[-1].numpy()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--networks", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--hold", type=int, nargs="+", default=[-1])
    parser.add_argument("--c", type=float, default=3e-3)
    parser.add_argument("--label-power", type=float, default=0.5)
    parser.add_argument("--group-power", type=float, default=0.25)
    parser.add_argument("--views", type=float, default=0.0, help="weight of the pool")
    parser.add_argument("--cross", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("THREADS", "1")))
    given = material(asked.runs)
    labels = sorted(given.table.label.unique())
    x = inputs(asked.runs, given, asked.networks)
    weight = weights(given, asked.label_power, asked.group_power, asked.views)
    (asked.runs / "teacher").mkdir(exist_ok=True)
    for hold in asked.hold:
        logits = (cross_fit if asked.cross else whole_fit)(x, given, labels, weight, asked.c, hold)
        plain = given.table[: given.photos]
        chosen = (plain.fold == hold).to_numpy() if hold >= 0 else np.ones(len(plain), bool)
        found = measure.table_of(
            plain[chosen].reset_index(drop=True),
            heads.softmax(logits[: given.photos][chosen]).astype(float),
            labels,
        )
        print(vars(asked), "hold", hold, "\n   ", measure.line(found), flush=True)
        np.savez(
            asked.runs / "teacher" / f"{asked.name}-{hold}.npz",
            logits=logits.astype(np.float16),
            labels=np.array(labels),
            x=x[:, :256].astype(np.float16),
            row=given.table.row.to_numpy(),
            place=given.table.place.to_numpy(),
        )
