"""Corrected labels of photos of others, whose files and manifest stay as they are.

A table has ``sha256``, ``label`` (the right one, or ``exclude``: no label fits) and ``reason``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from recognizer.dataset.manifest import Photo, read_rows, taxonomy_of
from recognizer.errors import DatasetError

EXCLUDE = "exclude"


def corrected(photos: Sequence[Photo], table: str | Path) -> list[Photo]:
    """Return the photos with the labels of a table of corrections, without the excluded ones.

    Raises:
        DatasetError: the table cannot be read, or a row breaks a rule; the message names it.
    """
    known = taxonomy_of(photos).labels
    right: dict[str, str] = {}
    for where, row in read_rows(table, ("sha256", "label", "reason")):
        if row["label"] != EXCLUDE and row["label"] not in known:
            raise DatasetError(f"{where}: unknown label {row['label']!r}")
        if not row["reason"]:
            raise DatasetError(f"{where}: no reason; write what the photo shows")
        if row["sha256"] in right:
            raise DatasetError(f"{where}: {row['sha256'][:12]}... is corrected twice")
        right[row["sha256"]] = row["label"]
    return [
        replace(photo, label=right.get(photo.sha256, photo.label))
        for photo in photos
        if right.get(photo.sha256) != EXCLUDE
    ]
