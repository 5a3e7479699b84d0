"""A table of a split by source, label or any other column: where a model errs, and on what.

All rows are by the default policy, so that they add up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recognizer.errors import DatasetError
from recognizer.intervals import share_by_source
from recognizer.lab.dataset.manifest import Photo, read_rows
from recognizer.lab.evaluation.figures import Truth
from recognizer.lab.evaluation.metrics import RankedCounts, bootstrap
from recognizer.model.description import Estimate


@dataclass(frozen=True, slots=True)
class SliceSide:
    """The photos of a slice with a product, or those without one.

    ``leads`` is the share that the default policy sends to review; None without photos.
    """

    photos: int
    sources: int
    leads: Estimate | None


@dataclass(frozen=True, slots=True)
class Slice:
    """Photos that have one value in common; average precision is of any product, within them."""

    name: str
    products: SliceSide
    negatives: SliceSide
    average_precision: Estimate | None


def measure_slices(
    photos: Sequence[Photo],
    truth: Truth,
    scores: NDArray[np.float64],
    flagged: NDArray[np.bool_],
    by: str,
) -> tuple[Slice, ...]:
    """Measure N photos slice by slice, those with most leads without a product first.

    ``scores``, (N,), are of any product; ``flagged``, (N,), says what the default policy sends to
    review. ``by`` is ``source``, ``label``, ``kind``, another column of the manifest, or a CSV file
    with a column ``source``, perhaps ``group``, whose last column is the slice of each.
    """
    names, found = np.array(_values(photos, by)), []
    for name in np.unique(names).tolist():
        inside = names == name
        sides = []
        for side in (inside & ~truth.negative, inside & truth.negative):
            sources = truth.sources[side]
            leads = share_by_source(flagged[side], sources) if len(sources) else None
            sides.append(SliceSide(len(sources), len(set(sources)), leads))
        precision = None
        if all(side.photos for side in sides):
            positive, of = ~truth.negative[inside], truth.sources[inside]
            (precision,) = bootstrap([RankedCounts.average_precision], positive, scores[inside], of)
        false_leads = int(flagged[inside & truth.negative].sum())
        found.append((-false_leads, name, Slice(name, sides[0], sides[1], precision)))
    return tuple(row[2] for row in sorted(found))


def _values(photos: Sequence[Photo], by: str) -> list[str]:
    if by.lower().endswith(".csv"):
        table = dict[str, str]()
        for _, row in read_rows(Path(by), ("source",)):
            # Out-of-fold files name the group of sources that stay together.
            *_, value = row.values()
            table |= dict.fromkeys({row["source"], row.get("group") or row["source"]}, value)
        return [table.get(photo.source, "(not in the table)") for photo in photos]
    if by in {"source", "label"}:
        return [getattr(photo, by) for photo in photos]
    if by == "kind":
        return [photo.taxonomy.labels[photo.label].kind for photo in photos]
    if not any(by in photo.columns for photo in photos):
        columns = sorted({name for photo in photos for name in photo.columns})
        known = ", ".join(dict.fromkeys(["source", "label", "kind", *columns]))
        advice = "or name a CSV file with the columns source and slice"
        raise DatasetError(f"--by {by}: no such column; there are {known}; {advice}")
    return [photo.columns.get(by, "") or "(empty)" for photo in photos]
