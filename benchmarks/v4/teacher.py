"""The teacher: what several frozen networks see, side by side, in all photos and in the pool.

It knows no label. A student that also repeats these features keeps what ImageNet taught.

    python benchmarks/v4/teacher.py --runs runs/v4 --name r
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NamedTuple

import heads
import numpy as np
import pandas as pd
import pool
import torch
from networks import root
from numpy.typing import NDArray
from photos import Photos

Floats = NDArray[np.float32]
PLAIN = {0: "lite0-plain224", 1: "lite1-plain240", 2: "lite2q-plain260"}
COMPONENTS = 512


class Material(NamedTuple):
    """Everything there is to learn from: the training photos, then the pool.

    Attributes:
        table: ``label``, ``group``, ``fold``, ``product``, ``row`` (of a photo; -1 in the pool),
            ``place`` (in the pool; -1 for a photo).
        photos: how many of the first rows are photos as they are.
    """

    table: pd.DataFrame
    photos: int


def material(runs: Path) -> Material:
    """Return the table of the photos and of the pool."""
    table = Photos(runs / "cache").table
    table = table[table.split == "train"].reset_index(drop=True)
    columns = ["sha256", "label", "subtype", "group", "fold", "product", "row"]
    plain = table[columns].assign(place=-1)
    count = len(np.load(runs / "features" / "pool-lite0.npy", mmap_mode="r"))
    views = pd.read_parquet(runs / "cache" / pool.TABLE).iloc[:count]
    places = np.flatnonzero(views.sha256.isin(table.sha256))  # a photo may have been excluded since
    views = views.iloc[places]
    product = table.drop_duplicates("label").set_index("label")["product"]
    views = views.assign(
        subtype="", row=-1, place=places, product=views.label.map(product).fillna(True)
    )
    return Material(pd.concat([plain, views[plain.columns]], ignore_index=True), len(plain))


def features(runs: Path, given: Material, networks: list[int]) -> Floats:
    """Return roots of features, standardised and turned onto their first principal components."""
    rows = given.table.row.to_numpy()[: given.photos]
    places = given.table.place.to_numpy()[given.photos :]
    parts = []
    for n in networks:
        views = np.load(runs / "features" / f"pool-lite{n}.npy")[places].astype(np.float32)
        parts.append(np.concatenate([heads.load(runs, [PLAIN[n]], rows), views]))
    x = root(np.concatenate(parts, 1))
    plain = x[: given.photos]
    mean, std = plain.mean(0), plain.std(0) + 1e-6
    x = (x - mean) / std
    some = torch.from_numpy(x[: given.photos])
    _, vectors = torch.linalg.eigh(some.T @ some)
    return (torch.from_numpy(x) @ vectors[:, -COMPONENTS:].flip(1)).numpy()


def load(runs: Path, name: str, table: pd.DataFrame) -> Floats:
    """Return the features of a teacher for the rows of a table."""
    with np.load(runs / "teacher" / f"{name}.npz") as found:
        x = found["x"].astype(np.float32)
        known = pd.MultiIndex.from_arrays([found["row"], found["place"]])
    at = known.get_indexer(pd.MultiIndex.from_arrays([table.row, table.place]))
    if (at < 0).any():
        raise SystemExit(f"teacher {name} does not know {(at < 0).sum()} pictures: make it again")
    return x[at]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--networks", type=int, nargs="+", default=[0, 1, 2])
    asked = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("THREADS", "1")))
    given = material(asked.runs)
    (asked.runs / "teacher").mkdir(exist_ok=True)
    np.savez(
        asked.runs / "teacher" / f"{asked.name}.npz",
        x=features(asked.runs, given, asked.networks).astype(np.float16),
        row=given.table.row.to_numpy(),
        place=given.table.place.to_numpy(),
    )
