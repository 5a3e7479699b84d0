"""The recipe of a student, and the pictures that it sees.

A share of the batches may be made at a smaller size, so that one file also serves as a quick first
pass. 144 and 240 px are both 16 more than a multiple of 32: TensorFlow's padding is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import heads
import numpy as np
import pool
import teacher
import torch
from numpy.typing import NDArray
from photos import Photos

LABEL_WEIGHTS = pool.CONFIG.label_weights


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every choice of a run.

    Attributes:
        network: 0, 1 or 2: of EfficientNet-Lite.
        size: side of the input.
        teacher: name of the file of ``teacher.py``; empty for labels alone.
        hold: the folds that are left out, a digit each, and measured on.
        samples: pictures seen.
        batch: pictures in a step.
        rate: peak learning rate of the backbone.
        head_rate: of the head.
        freeze: stages with the stem that keep ImageNet's weights.
        imitate: weight of the loss on the teacher's features.
        decay: pull of the weights towards where they began, per step and rate.
        plain: share of photos that do not come from the pool.
        average: decay of the averaged weights.
        seed: of all draws.
        begin: runs, separated by commas, with the mean of whose weights it begins; empty for
            ImageNet's.
        share: how far the finished weights are on the way from the first to the averaged ones.
        small: side of the input in a share of the batches.
        small_share: that share.
    """

    network: int = 1
    size: int = 240
    teacher: str = "r"
    hold: str = ""
    samples: int = 24000
    batch: int = 48
    rate: float = 2.5e-4
    head_rate: float = 4e-4
    freeze: int = 3
    imitate: float = 1.0
    decay: float = 0.02
    plain: float = 0.5
    average: float = 0.998
    seed: int = 0
    begin: str = ""
    share: float = 0.75
    small: int = 144
    small_share: float = 0.0

    @property
    def held(self) -> list[int]:
        """The folds that are left out."""
        return [int(digit) for digit in self.hold]


class Sampler:
    """Pictures with their targets, drawn by label and group."""

    def __init__(
        self, runs: Path, recipe: Recipe, given: teacher.Material, labels: list[str]
    ) -> None:
        self.recipe, self.given, self.labels = recipe, given, labels
        self.photos = Photos(runs / "cache")
        self.place_of = {row: i for i, row in enumerate(self.photos.table.row)}
        path = runs / "cache" / pool.IMAGES
        self.pool = np.memmap(path, np.uint8, "r").reshape(-1, pool.SIZE, pool.SIZE, 3)
        table = given.table
        kept = (~table.fold.isin(recipe.held)).to_numpy()
        first = np.arange(len(table)) < given.photos
        self.plain = np.flatnonzero(kept & first)
        self.views = np.flatnonzero(kept & ~first)
        weight = heads.weights_of(table.iloc[self.plain], 0.5, 0.5)
        weight *= table.label.iloc[self.plain].map(lambda n: LABEL_WEIGHTS.get(n, 1.0)).to_numpy()
        self.weight = weight / weight.sum()
        self.target = np.array([labels.index(n) for n in table.label])

    def batch(self, step: int) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """Return model inputs and the rows that they are of."""
        r = self.recipe
        rng = np.random.default_rng([r.seed, step])
        plain = round(r.plain * r.batch) if len(self.views) else r.batch
        rows = np.concatenate(
            [
                rng.choice(self.plain, plain, p=self.weight),
                rng.choice(self.views, r.batch - plain) if plain < r.batch else [],
            ]
        ).astype(np.int64)
        size = r.small if rng.random() < r.small_share else r.size
        return torch.from_numpy(np.stack([self._picture(int(i), size, rng) for i in rows])), rows

    def _picture(self, i: int, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        if i >= self.given.photos:
            rgb = self.pool[self.given.table.place.iat[i]]
        else:
            rgb = self.photos.rgb(self.place_of[self.given.table.row.iat[i]])
            h, w = rgb.shape[:2]
            y, x = (rng.uniform(0, 0.1, 4) * [h, h, w, w]).astype(int).reshape(2, 2)
            rgb = rgb[y[0] : h - y[1], x[0] : w - x[1]]
        if rng.random() < 0.5:
            rgb = rgb[:, ::-1]
        # A JPEG that is decoded at reduced size is smooth, one at full size is not.
        resize = cv2.INTER_AREA if rng.random() < 0.5 else cv2.INTER_LINEAR
        out = cv2.resize(np.ascontiguousarray(rgb), (size, size), interpolation=resize)
        if i < self.given.photos and rng.random() < 0.7:
            gain = rng.normal(1, 0.06, 3) * rng.uniform(0.8, 1.2)
            levels = np.arange(256)[:, None] * gain + rng.uniform(-15, 15)
            out = cv2.LUT(out, levels.clip(0, 255).astype(np.uint8)[None])
        return np.asarray(out)
