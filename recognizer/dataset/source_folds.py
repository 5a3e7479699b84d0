"""Deal the sources of labelled photos into folds, each of which can be left out of training.

What a model finds at sources that nobody has seen is measured by training it without a fold and
predicting that fold, for each fold in turn. A fold holds whole sources. Sources that show the same
objects, or share photos, are a *group* and stay together. Each label is spread over the folds as
evenly as its groups allow, in photos and in sources, products above all.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recognizer._atomic import replacing
from recognizer.dataset.manifest import Photo, read_rows
from recognizer.errors import DatasetError

COLUMNS = ("source", "group", "fold")

MAX_PHOTOS = 60
"""Photos of one label and source above this number say nothing more about the balance."""

_PRODUCT_WEIGHT = 4.0
_STARTS = 40  # random starts of the search, of which the best counts
_ROUNDS = 20  # over all groups, from one start


@dataclass(frozen=True, slots=True)
class SourceFolds:
    """Which source is in which fold (from 0), and in which group."""

    fold_of: Mapping[str, int]
    group_of: Mapping[str, str]

    @property
    def count(self) -> int:
        """The number of folds."""
        return max(self.fold_of.values()) + 1

    def of(self, photo: Photo) -> int:
        """Return the fold of a photo.

        Raises:
            DatasetError: its source has none.
        """
        if photo.source not in self.fold_of:
            raise DatasetError(
                f"the source {photo.source!r} is in no fold: deal the sources again with "
                "`recognizer folds`, or add it to the table"
            )
        return self.fold_of[photo.source]


def counted(photos: Iterable[Photo]) -> list[Photo]:
    """Return the photos that belong to folds: neither the test split nor patches."""
    return [p for p in photos if p.split in {"train", "validation"} and p.is_evidence]


def deal_sources(
    photos: Sequence[Photo],
    count: int,
    *,
    seed: int = 0,
    groups: Sequence[tuple[str, str]] = (),
) -> SourceFolds:
    """Deal the sources of all photos outside the test split into folds.

    Args:
        photos: all photos.
        count: of folds.
        seed: of the search; the order of the photos does not matter.
        groups: patterns of sources, with ``*`` for any text, and the group of each; the first that
            fits counts. A source that none fits is a group of its own.

    Raises:
        DatasetError: there are fewer groups than folds.
    """
    used = counted(photos)
    group_of = {
        source: next((name for pattern, name in groups if fnmatchcase(source, pattern)), source)
        for source in sorted({p.source for p in used})
    }
    names = sorted(set(group_of.values()))
    if len(names) < count:
        raise DatasetError(f"{len(names)} groups of sources: too few for {count} folds")
    products = {p.label for p in used if p.is_product}
    labels = sorted({p.label for p in used})
    photo_count, source_count = np.zeros((2, len(names), len(labels)))
    for (source, label), number in Counter((p.source, p.label) for p in used).items():
        place = names.index(group_of[source]), labels.index(label)
        photo_count[place] += min(number, MAX_PHOTOS)
        source_count[place] += 1
    weight = np.where([name in products for name in labels], _PRODUCT_WEIGHT, 1.0)
    parts = [n * np.sqrt(weight / (n.sum(0) * n.max(0))) for n in (photo_count, source_count)]
    fold_of = _search(np.hstack(parts), count, np.random.default_rng(seed))
    numbers = dict(zip(names, fold_of.tolist(), strict=True))
    return SourceFolds({s: numbers[group] for s, group in group_of.items()}, group_of)


def _search(parts: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the fold of each group (row) for which the sums of the folds are the most alike."""
    best, lowest = np.zeros(len(parts), np.intp), np.inf
    for _ in range(_STARTS):
        fold = rng.permutation(np.arange(len(parts)) % count)
        sums = np.stack([parts[fold == f].sum(0) for f in range(count)])
        for _ in range(_ROUNDS):
            moved = False
            for i in rng.permutation(len(parts)):
                before = int(fold[i])
                sums[before] -= parts[i]
                # Of the squares only those of its new fold grow: the least growth is the best.
                growth = (2 * sums + parts[i]) @ parts[i]
                fold[i] = growth.argmin()
                sums[fold[i]] += parts[i]
                moved |= fold[i] != before
            if not moved:
                break
        cost = float((sums**2).sum())
        if cost < lowest and len(set(fold.tolist())) == count:
            best, lowest = fold.copy(), cost
    if not np.isfinite(lowest):
        raise DatasetError(f"no way found to fill {count} folds: ask for fewer")
    return best


def read_groups(path: Path) -> list[tuple[str, str]]:
    """Read a table with the columns ``source`` (``*`` stands for any text) and ``group``.

    Raises:
        DatasetError: it cannot be read, or a column is missing.
    """
    return [(row["source"], row["group"]) for _, row in read_rows(path, COLUMNS[:2])]


def write_folds(folds: SourceFolds, path: Path) -> None:
    """Write the table of folds, a CSV file with :data:`COLUMNS`."""
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for source, fold in sorted(folds.fold_of.items()):
            writer.writerow([source, folds.group_of[source], fold])


def read_folds(path: Path) -> SourceFolds:
    """Read a table of folds; the column ``group`` may be missing.

    Raises:
        DatasetError: it cannot be read, or a row breaks a rule; the message names it.
    """
    fold_of, group_of = dict[str, int](), dict[str, str]()
    for where, row in read_rows(path, ("source", "fold")):
        if not row["fold"].isdecimal():
            raise DatasetError(f"{where}: fold {row['fold']!r}: a number from 0")
        if row["source"] in fold_of:
            raise DatasetError(f"{where}: the source {row['source']!r} is there twice")
        fold_of[row["source"]] = int(row["fold"])
        group_of[row["source"]] = row.get("group") or row["source"]
    folds_of_group = defaultdict[str, set[int]](set)
    for source, fold in fold_of.items():
        folds_of_group[group_of[source]].add(fold)
    torn = [group for group, folds in folds_of_group.items() if len(folds) > 1]
    if torn:
        raise DatasetError(f"{path}: the group {torn[0]!r} is in more than one fold")
    numbers = set(fold_of.values())
    if numbers != set(range(len(numbers))) or len(numbers) < 2:
        raise DatasetError(f"{path}: folds are numbered 0, 1, ... without a gap, at least two")
    return SourceFolds(fold_of, group_of)


def leave_fold_out(photos: Sequence[Photo], folds: SourceFolds, fold: int) -> list[Photo]:
    """Return all photos with the splits of a run that leaves a fold out.

    What the fold holds is held out (``validation``), all other photos of ``train`` train. Photos
    of other folds that the data itself holds out are ``excluded``.

    Raises:
        DatasetError: a source is in no fold.
    """
    splits = {id(p): p.split for p in photos}
    for p in counted(photos):
        if folds.of(p) == fold:
            splits[id(p)] = "validation"
        elif p.split == "validation":
            splits[id(p)] = "excluded"
    return [replace(p, split=splits[id(p)]) for p in photos]
