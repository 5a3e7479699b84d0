"""Corrections of labels, by content hash: what somebody saw on looking, applied in code.

The files and manifests of a data set belong to whoever made it, and stay as they are. A table of
corrections (``datasets/corrections.csv``) has the columns ``sha256``, ``label`` (the right one, or
``exclude`` for a photo that shows nothing that can be labelled) and ``reason``, in words.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from recognizer.dataset.columns import read_rows
from recognizer.errors import DatasetError
from recognizer.taxonomy import load_taxonomy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recognizer.dataset.manifest import Photo

EXCLUDE = "exclude"
COLUMNS = ("sha256", "label", "reason")


def load_corrections(path: str | Path) -> dict[str, str]:
    """Read a table of corrections.

    Returns:
        sha256 -> a label of the taxonomy, or :data:`EXCLUDE`.

    Raises:
        DatasetError: the table cannot be read, or a row breaks a rule; the message names it.
    """
    known = {*load_taxonomy().labels, EXCLUDE}
    found: dict[str, str] = {}
    for where, row in read_rows(path, COLUMNS):
        if row["label"] not in known:
            raise DatasetError(f"{where}: unknown label {row['label']!r}")
        if not row["reason"]:
            raise DatasetError(f"{where}: no reason: a correction says what is to be seen")
        if row["sha256"] in found:
            raise DatasetError(f"{where}: {row['sha256'][:12]}... is corrected twice")
        found[row["sha256"]] = row["label"]
    return found


def apply_corrections(photos: Sequence[Photo], corrections: Mapping[str, str]) -> list[Photo]:
    """Return the photos with their right labels, without those that are excluded.

    A table may know of photos that are not among these.
    """
    return [
        replace(photo, label=corrections.get(photo.sha256, photo.label))
        for photo in photos
        if corrections.get(photo.sha256) != EXCLUDE
    ]
