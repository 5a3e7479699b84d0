"""Labelled photos: from a manifest or from a folder for each label, and how they are split.

A manifest is the CSV of ``datasets/README.md``; the unit of independence is the *source*. This
module reads no pixels and needs no torch.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recognizer.errors import DatasetError
from recognizer.taxonomy import Kind, load_taxonomy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

MANIFEST = "manifest.csv"
REQUIRED_COLUMNS = ("sha256", "file", "label", "source", "split")
SYNTHETIC_PREFIX = "synthetic/"
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"}
)


@dataclass(frozen=True, slots=True)
class Photo:
    """One labelled photo.

    Attributes:
        path: where the file is.
        sha256: of the file's bytes, hexadecimal.
        label: a label of the taxonomy.
        source: where it came from; photos of one source are not independent.
        split: ``train``, ``validation`` or ``test``.
        subtype: free words of the source on what is shown.
    """

    path: Path
    sha256: str
    label: str
    source: str
    split: str
    subtype: str = ""

    @property
    def is_synthetic(self) -> bool:
        """Whether the photo was rendered, and so is no evidence of anything."""
        return self.source.startswith(SYNTHETIC_PREFIX)


def load_photos(folder: str | Path) -> list[Photo]:
    """Read a data folder: one with a ``manifest.csv``, or one with a folder for each label.

    In a folder without a manifest every photo is of the split ``train`` and of the source that is
    named like the folder.

    Raises:
        DatasetError: there is nothing there, or a row breaks a rule; the message names it.
    """
    root = Path(folder)
    if (root / MANIFEST).is_file():
        return _from_manifest(root)
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder")
    known = load_taxonomy().labels
    photos = [
        Photo(path, _sha256(path), label.name, root.name, "train")
        for label in sorted(root.iterdir())
        if label.is_dir() and label.name in known
        for path in sorted(label.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]
    if not photos:
        raise DatasetError(
            f"{root}: neither a {MANIFEST} nor folders named after labels of the taxonomy"
        )
    return photos


def _from_manifest(root: Path) -> list[Photo]:
    path = root / MANIFEST
    known = load_taxonomy().labels
    photos: list[Photo] = []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [column for column in REQUIRED_COLUMNS if column not in (reader.fieldnames or [])]
        if missing:
            raise DatasetError(f"{path}: no column {', '.join(missing)}")
        for row in reader:
            if row["label"] not in known:
                raise DatasetError(f"{path}:{reader.line_num}: unknown label {row['label']!r}")
            if row["split"] not in {"train", "validation", "test"}:
                raise DatasetError(f"{path}:{reader.line_num}: unknown split {row['split']!r}")
            photos.append(
                Photo(
                    root / row["file"],
                    row["sha256"],
                    row["label"],
                    row["source"],
                    row["split"],
                    row.get("subtype") or "",
                )
            )
    if not photos:
        raise DatasetError(f"{path}: no rows")
    return photos


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hold_out_validation(photos: Sequence[Photo], share: float, seed: int) -> list[Photo]:
    """Move a part of the training photos to the split ``validation``.

    Two parts: ``share`` of the photos, by content hash (photos of sources that training sees),
    and, for each label that is no product, whole sources up to ``share`` of its photos, since
    thresholds are to hold for false alarms from places that training never saw. Products come
    from too few sources to give one away. A label keeps at least half of its photos for training,
    and at least one source. Rendered photos stay in training. Which photos are held out depends
    on their hashes, their sources and the seed alone, not on their order.

    Returns:
        The same photos in the same order, with the new splits.
    """
    train = [p for p in photos if p.split == "train" and not p.is_synthetic]
    held = {p.sha256 for p in train if _draw(p.sha256, seed) < share}
    kinds = load_taxonomy().labels
    by_label: dict[str, list[Photo]] = {}
    for photo in train:
        by_label.setdefault(photo.label, []).append(photo)
    for label, members in by_label.items():
        counts = Counter(p.source for p in members)
        budget = share * len(members)
        for source in sorted(counts, key=lambda s: _draw(f"{label}/{s}", seed)):
            is_product = kinds[label].kind is Kind.PRODUCT
            if not is_product and len(counts) > 1 and counts[source] <= budget:
                budget -= counts[source]
                held.update(p.sha256 for p in members if p.source == source)
        given = sorted(
            (p.sha256 for p in members if p.sha256 in held), key=lambda s: _draw(s, seed)
        )
        held.difference_update(given[len(members) // 2 :])
    return [
        replace(p, split="validation") if p.split == "train" and p.sha256 in held else p
        for p in photos
    ]


def _draw(text: str, seed: int) -> float:
    """Return a number from 0 to 1 that depends on nothing but the text and the seed."""
    digest = hashlib.sha256(f"{seed}:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def drawing_weights(
    photos: Sequence[Photo],
    label_power: float,
    source_power: float,
    label_weights: Mapping[str, float] | None = None,
) -> NDArray[np.float64]:
    """Return the probability with which each photo is drawn, balanced by label and by source.

    A label's share is its photo count to ``label_power`` (times its weight); within the label a
    source's share is its count to ``source_power``; within the source all photos are alike.

    Returns:
        float64, (len(photos),), summing to 1.
    """
    label_weights = label_weights or {}
    labels = Counter(p.label for p in photos)
    pairs = Counter((p.label, p.source) for p in photos)
    source_total: defaultdict[str, float] = defaultdict(float)
    for (label, _), count in pairs.items():
        source_total[label] += count**source_power
    weights: NDArray[np.float64] = np.array(
        [
            labels[p.label] ** label_power
            * label_weights.get(p.label, 1.0)
            * pairs[p.label, p.source] ** source_power
            / source_total[p.label]
            / pairs[p.label, p.source]
            for p in photos
        ]
    )
    return np.asarray(weights / weights.sum())


def fingerprint(photos: Iterable[Photo]) -> str:
    """Return a sha256 over the content hashes, labels, sources and splits, whatever their order."""
    rows = sorted(f"{p.sha256},{p.label},{p.source},{p.split}" for p in photos)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()
