"""Labelled photos as people keep them: a folder for each label, or a CSV table.

No image is opened.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from recognizer.errors import DatasetError
from recognizer.lab.dataset.manifest import MANIFEST, PHOTO_SUFFIXES, label_folders, read_rows

_SPLIT_FOLDERS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test"})


class CollectionEntry(NamedTuple):
    """One labelled photo of a collection; source and licence are empty if none is stated."""

    path: Path
    label: str
    source: str = ""
    license: str = ""


@dataclass(slots=True, kw_only=True)
class Collection:
    """Labelled photos below a folder, before anything is known about their content."""

    root: Path
    layout: str  # in words
    entries: list[CollectionEntry] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # a line for each photo that cannot be used
    notes: list[str] = field(default_factory=list)  # a line for each decision


def read_collection(place: str | Path) -> Collection:
    """Read the labelled photos of a folder, or of the CSV table that lists them.

    A table has the columns ``file`` (relative to the table, or absolute) and ``label``, and perhaps
    ``source`` and ``license``. A folder with a ``manifest.csv`` is read by it.
    """
    place = Path(place)
    table = place / MANIFEST if place.is_dir() else place
    try:
        if place.is_dir() and not table.exists():
            collection = Collection(root=place, layout="a folder for each label")
            _read_folders(collection)
        else:
            layout = f"a CSV table ({table.name})"
            collection = Collection(root=table.parent, layout=layout)
            _read_table(table, collection)
    except OSError as error:
        raise DatasetError(f"{error.filename or place}: {error.strerror or error}") from error
    if not collection.entries:
        why = "; ".join(collection.left_out[:3]) or "each belongs into a folder named after it"
        raise DatasetError(f"{place}: {collection.layout}, but no photo with a label: {why}")
    return collection


def _read_folders(collection: Collection) -> None:
    """Add the photos below the folders of labels; folders of splits may lie above these."""
    inside = [p for p in sorted(collection.root.iterdir()) if p.is_dir() and p.name[0] not in "._"]
    has_splits = bool(inside) and all(p.name.lower() in _SPLIT_FOLDERS for p in inside)
    if has_splits:
        collection.notes.append(
            "The splits that the data came with were not used: sources may be in several"
        )
    for shelf in inside if has_splits else [collection.root]:
        for label, folder, path in label_folders(shelf):
            if path.suffix.lower() in PHOTO_SUFFIXES:
                collection.entries.append(CollectionEntry(path, label, folder))


def _read_table(table: Path, collection: Collection) -> None:
    for where, row in read_rows(table, ("file", "label")):
        path, label = table.parent / row["file"], row["label"].strip()
        if not row["file"] or not label:
            collection.left_out.append(f"{where}: no {'label' if row['file'] else 'file'}")
        else:
            about = [(row.get(name) or "").strip() for name in ("source", "license")]
            collection.entries.append(CollectionEntry(path, label, *about))
