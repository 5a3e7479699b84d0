"""Tables about photos of others, which stay as they are: corrected labels, and parts of photos.

*Corrections* and *patches* are tables that name photos by their sha256.
Corrections have ``sha256``, ``label`` (the right one, or ``exclude`` for a photo that cannot be
labelled) and ``reason``; patches have ``sha256``, ``part``, ``label`` (what the patch stands for)
and ``polygon`` (``x,y`` pairs as shares of width and height, separated by spaces).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from recognizer.dataset.manifest import PATCH_PREFIX, Photo, read_rows, taxonomy_of
from recognizer.errors import DatasetError
from recognizer.taxonomy import Taxonomy

EXCLUDE = "exclude"
CORRECTION_COLUMNS = ("sha256", "label", "reason")
PATCH_COLUMNS = ("sha256", "part", "label", "polygon")


def load_corrections(path: str | Path, taxonomy: Taxonomy) -> dict[str, str]:
    """Read a table of corrections: sha256 -> a label of the taxonomy, or :data:`EXCLUDE`.

    Raises:
        DatasetError: the table cannot be read, or a row breaks a rule; the message names it.
    """
    found: dict[str, str] = {}
    for where, row in read_rows(path, CORRECTION_COLUMNS):
        if row["label"] != EXCLUDE and row["label"] not in taxonomy.labels:
            raise DatasetError(f"{where}: unknown label {row['label']!r}")
        if not row["reason"]:
            raise DatasetError(f"{where}: no reason; write what the photo shows")
        if row["sha256"] in found:
            raise DatasetError(f"{where}: {row['sha256'][:12]}... is corrected twice")
        found[row["sha256"]] = row["label"]
    return found


def corrected(photos: Sequence[Photo], table: str | Path) -> list[Photo]:
    """Return the photos with the labels of a table of corrections, without the excluded ones.

    Raises:
        DatasetError: the table cannot be read, or a row breaks a rule.
    """
    right = load_corrections(table, taxonomy_of(photos))
    return [
        replace(photo, label=right.get(photo.sha256, photo.label))
        for photo in photos
        if right.get(photo.sha256) != EXCLUDE
    ]


def patches(photos: Sequence[Photo], table: str | Path) -> list[Photo]:
    """Return the patches of training photos that a table outlines.

    The horn of a living rhino is rhino horn once it is cut off; the photo itself stays a living
    rhino. Rows of photos outside the training split give nothing.

    Raises:
        DatasetError: the table cannot be read, or a row breaks a rule; the message names it.
    """
    known = taxonomy_of(photos).labels
    train = {p.sha256: p for p in photos if p.split == "train" and p.is_evidence}
    found = []
    for where, row in read_rows(table, PATCH_COLUMNS):
        if row["label"] not in known:
            raise DatasetError(f"{where}: unknown label {row['label']!r}")
        outline = _outline(row["polygon"], where)
        photo = train.get(row["sha256"])
        if photo is not None:
            patch = replace(photo, label=row["label"], subtype=row["part"], outline=outline)
            found.append(replace(patch, source=f"{PATCH_PREFIX}{row['part']}"))
    return found


def _outline(text: str, where: str) -> tuple[tuple[float, float], ...]:
    try:
        points = tuple((float(x), float(y)) for x, y in (pair.split(",") for pair in text.split()))
    except ValueError as error:
        raise DatasetError(f"{where}: polygon: pairs x,y separated by spaces") from error
    if len(points) < 3 or not all(0 <= v <= 1 for point in points for v in point):
        raise DatasetError(f"{where}: polygon: at least three points, shares from 0 to 1")
    return points
