"""Labelled photos as people keep them: a folder for each label, or a CSV table.

No image is opened.
"""

from dataclasses import dataclass, field
from pathlib import Path

from recognizer.errors import DatasetError
from recognizer.lab.dataset.manifest import (
    MANIFEST,
    PHOTO_SUFFIXES,
    Photo,
    label_folders,
    read_rows,
)

_SPLIT_FOLDERS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test"})


@dataclass(slots=True)
class Collection:
    """Labelled photos, and lines of text.

    As they are read, photos have neither sha256 nor split, and perhaps labels of their own.
    """

    root: Path
    photos: list[Photo] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was decided
    left_out: list[str] = field(default_factory=list)  # which files are not in it, and why
    warnings: list[str] = field(default_factory=list)  # what makes the result worth less


def read_collection(place: str | Path) -> Collection:
    """Read the labelled photos of a folder, or of the CSV table that lists them.

    A table has the columns ``file`` (relative to the table, or absolute) and ``label``, and perhaps
    ``source`` and ``license``. A folder with a ``manifest.csv`` is read by it.
    """
    place = Path(place)
    table = place / MANIFEST if place.is_dir() else place
    is_table = table.exists() or not place.is_dir()
    found = Collection(table.parent)
    layout = f"a CSV table ({table.name})" if is_table else "a folder for each label"
    found.notes.append(f"Layout: {layout}")
    try:
        (_read_table if is_table else _read_folders)(table, found)
    except OSError as error:
        raise DatasetError(f"{error.filename or place}: {error.strerror or error}") from error
    if not found.photos:
        why = "; ".join(found.left_out[:3]) or "each belongs into a folder named after it"
        raise DatasetError(f"{place}: {layout}, but no photo with a label: {why}")
    return found


def _read_folders(table: Path, found: Collection) -> None:
    """Add the photos below the folders of labels; folders of splits may lie above these."""
    inside = [p for p in sorted(found.root.iterdir()) if p.is_dir() and p.name[0] not in "._"]
    has_splits = bool(inside) and all(p.name.lower() in _SPLIT_FOLDERS for p in inside)
    if has_splits:
        found.notes.append("Splits that the data came with were not used: sources may be in both")
    for shelf in inside if has_splits else [table.parent]:
        for label, folder, path in label_folders(shelf):
            if path.suffix.lower() in PHOTO_SUFFIXES:
                found.photos.append(Photo(path, "", label, folder, ""))


def _read_table(table: Path, found: Collection) -> None:
    for where, row in read_rows(table, ("file", "label")):
        path, label = table.parent / row["file"], row["label"].strip()
        if not row["file"] or not label:
            found.left_out.append(f"{where}: no {'label' if row['file'] else 'file'}")
        else:
            source, terms = ((row.get(name) or "").strip() for name in ("source", "license"))
            found.photos.append(Photo(path, "", label, source, "", terms))
