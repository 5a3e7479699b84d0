"""Deal the training sources into five folds, and give look-alikes among ordinary goods a label.

Sources that show the same pieces, or share their photos, stay together (``TOGETHER``). Each label
is spread over the folds as evenly as its sources allow: a seeded search over many starts moves one
group at a time. Writes ``datasets/folds.csv`` and ``datasets/relabel.csv``.

    python benchmarks/v4/folds.py --runs runs/v4
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from photos import DATASETS, TABLE

FOLDS = 5
STARTS = 300
MAX_PHOTOS = 60
"""Photos of one source and label above this many say nothing more about the balance."""

TOGETHER = {
    "british-museum": r"^(BritishMuseum|BritishMuseumDH|portableant|Zenobia99)/",
    "wildscanlaos": r"^sumantagogoi/",
    "fitzwilliam": r"^FitzwilliamMuseum/",
    # One course, and sites that show the same news photos of the island's leopards and turtles.
    "sri-lanka": r"(?i)wdos|cb-?0\d{4}|sri-?lanka|ceylon|wild-sl|kidu90|shaheen-rizvi|"
    r"turtlehatchery|turtletopia|mriee|praveen2703|bwpt-savetheanimals",
}

RELABEL = {
    "jewellery": r"^(jewellery_|beads$|bead jewellery|watch$|antiques_watch|rudraksha|"
    r"metal (?:pendant|bracelet)|handicraft_jewellery)",
    "metalwork": r"^(antiques_silver|antiques_metal|metalware|collectible_coin|old coin|"
    r"statue_bra|statue_bronze|bronze_sculpture)",
    "statue": r"^(statue_stone|statue_plaster)",
}
"""Labels for what ``listing_other`` shows, by its ``subtype``."""


def group_of(source: str) -> str:
    """Return the group in which a source stays: a name, or the owner of the repository."""
    for name, pattern in TOGETHER.items():
        if re.search(pattern, source):
            return name
    return source.split("/", maxsplit=1)[0].lower()


def relabel(table: pd.DataFrame) -> pd.Series:
    """Return the labels with those of :data:`RELABEL`."""
    label = table.label.copy()
    for name, pattern in RELABEL.items():
        label[(table.label == "listing_other") & table.subtype.str.contains(pattern)] = name
    return label


def deal(table: pd.DataFrame, seed: int = 0) -> dict[str, int]:
    """Return the fold of each group."""
    pairs = table.groupby(["group", "label", "source"]).size().clip(upper=MAX_PHOTOS)
    photos = pairs.groupby(["group", "label"]).sum().unstack(fill_value=0)
    sources = (pairs > 0).groupby(["group", "label"]).sum().unstack(fill_value=0)
    products = table.groupby("label").kind.first().reindex(photos.columns) == "product"
    weight = np.where(products, 4.0, 1.0) * np.where(
        photos.columns.str.startswith("ivory"), 6.0, 1.0
    )
    sides = [x.to_numpy(float) for x in (photos, sources)]
    scaled = np.hstack([np.sqrt(weight) * x / np.sqrt(x.sum(0) * x.max(0)) for x in sides])
    rng = np.random.default_rng(seed)
    best, lowest = None, np.inf
    for _ in range(STARTS):
        fold, cost = _search(scaled, rng)
        if cost < lowest:
            best, lowest = fold, cost
    assert best is not None  # noqa: S101 - STARTS is above 0
    return dict(zip(photos.index, best.tolist(), strict=True))


def _search(
    share: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], float]:
    fold = rng.integers(FOLDS, size=len(share))
    sums = np.stack([share[fold == f].sum(0) for f in range(FOLDS)])
    for _ in range(20):
        moved = False
        for i in rng.permutation(len(share)):
            sums[fold[i]] -= share[i]
            # The squares of the other folds do not change: the least added square is the best.
            added = ((sums + share[i]) ** 2 - sums**2).sum(1)
            new = int(added.argmin())
            moved |= new != fold[i]
            fold[i] = new
            sums[new] += share[i]
        if not moved:
            break
    return fold, float((sums**2).sum())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True)
    table = pd.read_parquet(parser.parse_args().runs / "cache" / TABLE)
    new = relabel(table)
    changed = table.assign(new=new)[new != table.label].sort_values("sha256")
    changed[["sha256", "new", "subtype"]].rename(columns={"new": "label"}).to_csv(
        DATASETS / "relabel.csv", index=False, lineterminator="\n"
    )
    train = table.assign(label=new, group=table.source.map(group_of))
    train = train[train.split == "train"]
    fold_of = deal(train)
    rows = train.groupby("source").group.first().reset_index()
    rows["fold"] = rows.group.map(fold_of)
    rows.to_csv(DATASETS / "folds.csv", index=False, lineterminator="\n")
    train = train.assign(fold=train.group.map(fold_of))
    pd.set_option("display.width", 200)
    print(train.groupby(["label", "fold"]).size().unstack(fill_value=0).to_string())
    print(train.groupby(["label", "fold"]).source.nunique().unstack(fill_value=0).to_string())
