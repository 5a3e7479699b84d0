"""A folder for each label, with the photos in it or in one more folder for each source."""

from __future__ import annotations

import os
from pathlib import Path

from recognizer.dataset.layouts.files import Collection, Entry, is_image
from recognizer.dataset.manifest import MANIFEST
from recognizer.errors import DatasetError

SPLIT_FOLDERS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test"})
"""What the folders of splits are called."""

FOLDER = "folder"
"""The column for the folder between a label's folder and the photo."""


def read_folders(found: Collection) -> None:
    """Add the photos below the folders of labels; folders of splits may lie above these.

    Raises:
        DatasetError: photos lie beside the folders.
    """
    root = found.root
    inside = [p for p in sorted(root.iterdir()) if p.is_dir() and not p.name.startswith((".", "_"))]
    loose = [p for p in sorted(root.iterdir()) if p.is_file() and is_image(p)]
    if loose:
        raise DatasetError(
            f"{root}: {len(loose)} photos lie in no folder (as {loose[0].name}); put each into a "
            f"folder named after its label, or list them in {root / MANIFEST} with the columns "
            "file, label and source"
        )
    has_splits = bool(inside) and all(p.name.lower() in SPLIT_FOLDERS for p in inside)
    shelves = [(p, {"split": p.name.lower()}) for p in inside] if has_splits else [(root, {})]
    others: list[Path] = []
    for shelf, fields in shelves:
        for folder in sorted(shelf.iterdir()):
            if folder.is_dir() and not folder.name.startswith((".", "_")):
                _add_label(folder, fields, found, others)
    if others:
        found.notes.append(
            f"Skipped {len(others)} files that are no images by their name, as "
            f"{others[0].relative_to(root)}"
        )


def _add_label(folder: Path, fields: dict[str, str], found: Collection, others: list[Path]) -> None:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(place).relative_to(folder)
        for name in sorted(names):
            path = Path(place) / name
            if is_image(path):
                source = {FOLDER: below.parts[0]} if below.parts else {}
                found.entries.append(
                    Entry(path=path, label=folder.name, fields={**fields, **source})
                )
            elif not name.startswith("."):
                others.append(path)
