"""A pool of changed photos: what the student learns from, and the teacher's features of each.

Photos of training are drawn by label and group and changed as in ``recognizer train`` (crops,
other backgrounds, collages, light, damage), once, and kept as model inputs. What the frozen
networks see in them is kept too (``--features``), so that any teacher on these features can be
asked in no time.

    python benchmarks/v4/pool.py --data DATA --runs runs/v4 --count 30000
    python benchmarks/v4/pool.py --data DATA --runs runs/v4 --features 0
"""

from __future__ import annotations

import argparse
import itertools
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import features
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from photos import DATASETS, Photos

from recognizer.dataset.manifest import Photo
from recognizer.dataset.splits import patches
from recognizer.training.config import AugmentConfig, TrainingConfig
from recognizer.training.loader import TrainingPhotos, find_masks

SIZE = 260
IMAGES, TABLE = "pool.u8", "pool.parquet"

LEFT_OUT = frozenset({"mount", "fur", "carcass"})
"""Parts of the table of patches that show more of the animal than of the product."""

CONFIG = TrainingConfig(
    input_size=SIZE,
    label_power=0.5,
    source_power=0.5,
    label_weights={
        "ivory_raw": 2.5,
        "ivory_worked": 2.0,
        "rhino_horn": 1.5,
        "pangolin_scales": 1.5,
        "big_cat_skin": 1.5,
        "listing_other": 2.0,
        "jewellery": 1.3,
        "statue": 1.3,
        "ceramic": 1.2,
        "wood": 1.2,
    },
    augment=AugmentConfig(
        background=0.35,
        several=0.2,
        most=8,
        others=0.2,
        canvas=0.15,
        min_crop=0.4,
        rotate=0.4,
        max_degrees=20,
        color=0.8,
        gray=0.08,
        blur=0.1,
        downscale=0.15,
        jpeg=0.3,
        noise=0.08,
        watermark=0.04,
        erase=0.1,
    ),
)


def training_photos(data: Path, runs: Path) -> list[Photo]:
    """Return the training photos under their groups, and the patches of them."""
    table = Photos(runs / "cache").table
    found = [
        Photo(data / r.file, r.sha256, r.label, r.group, "train", r.subtype)
        for r in table[table.split == "train"].itertuples()
    ]
    cut = [p for p in patches(found, DATASETS / "patches.csv") if p.subtype not in LEFT_OUT]
    return found + cut


class _Share:
    """A part of the pool, drawn in a process of its own."""

    def __init__(self, data: Path, runs: Path, masks: object, count: int) -> None:
        self.photos = training_photos(data, runs)
        labels = sorted({p.label for p in self.photos})
        config = replace(CONFIG, photos_per_epoch=count)
        self.dataset = TrainingPhotos(self.photos, labels, config, 0, masks)  # type: ignore[arg-type]


def _fill(data: Path, runs: Path, masks: object, count: int, first: int, last: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    dataset = _Share(data, runs, masks, count).dataset
    pixels = np.memmap(runs / "cache" / IMAGES, np.uint8, "r+").reshape(-1, SIZE, SIZE, 3)
    for place in range(first, last):
        pixels[place] = dataset[place][0].numpy()
        if place % 500 == 0:
            print("pool", place, flush=True)


def _masks_of(data: Path, runs: Path, part: NDArray[np.int64]) -> list[object]:
    cv2.setNumThreads(1)
    photos = training_photos(data, runs)
    return list(find_masks([photos[i] for i in part], SIZE, threads=1))


def build(data: Path, runs: Path, count: int, workers: int) -> None:
    """Draw the pool."""
    photos = training_photos(data, runs)
    parts = np.array_split(np.arange(len(photos)), workers)
    with ProcessPoolExecutor(workers) as processes:
        jobs = [processes.submit(_masks_of, data, runs, part) for part in parts]
        masks = [mask for job in jobs for mask in job.result()]
    print("masks", sum(m is not None for m in masks), "of", len(masks), flush=True)
    dataset = _Share(data, runs, masks, count).dataset
    rows = [photos[int(i)] for i in dataset._order]
    folds = pd.read_csv(DATASETS / "folds.csv").drop_duplicates("group").set_index("group").fold
    table = Photos(runs / "cache").table.set_index("sha256")
    frame = pd.DataFrame(
        {
            "sha256": [p.sha256 for p in rows],
            "label": [p.label for p in rows],
            "patch": [p.subtype if p.is_patch else "" for p in rows],
        }
    )
    frame["group"] = table.group[frame.sha256].to_numpy()
    frame["fold"] = folds[frame.group].to_numpy()
    frame.to_parquet(runs / "cache" / TABLE)
    path = runs / "cache" / IMAGES
    np.memmap(path, np.uint8, "w+", shape=(count * SIZE * SIZE * 3,)).flush()
    edges = np.linspace(0, count, workers * 4 + 1).astype(int)
    with ProcessPoolExecutor(workers) as processes:
        jobs = [
            processes.submit(_fill, data, runs, masks, count, int(a), int(b))
            for a, b in itertools.pairwise(edges)
        ]
        for job in jobs:
            job.result()


def embed(runs: Path, network: int, count: int) -> None:
    """Keep what a frozen network sees in each picture of the pool."""
    path = runs / "features" / f"pool-lite{network}.npy"
    if path.exists():
        return
    size = {0: 224, 1: 240, 2: 260}[network]
    pixels = np.memmap(runs / "cache" / IMAGES, np.uint8, "r").reshape(-1, SIZE, SIZE, 3)
    pixels = pixels[: count or None]
    name, started, found = f"tf_efficientnet_lite{network}", time.monotonic(), []
    step = max(1, len(pixels) // 256)
    sample = np.stack([_fit(p, size) for p in pixels[::step]])
    session = features.session(name, size, sample, middle=False)
    for first in range(0, len(pixels), features.BATCH):
        batch = np.stack([_fit(p, size) for p in pixels[first : first + features.BATCH]])
        if first % 3200 == 0:
            print(name, first, f"{time.monotonic() - started:.0f} s", flush=True)
        found.append(session.run(["last"], {"images": batch})[0])
    np.save(path, np.concatenate(found).astype(np.float16))
    print(path.name, f"{time.monotonic() - started:.0f} s", flush=True)


def _fit(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="only so many; 0 for all")
    parser.add_argument("--features", nargs="*", type=int, default=[])
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    if asked.count:
        build(asked.data, asked.runs, asked.count, asked.workers)
    for network in asked.features:
        embed(asked.runs, network, asked.first)
