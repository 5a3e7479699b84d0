"""Labelled photos as people keep them: folders, tables, and the exports of labelling tools.

:func:`read_collection` finds out which layout a folder has, and reads it. No image is opened.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recognizer.dataset.layouts.annotations import (
    read_coco,
    read_fiftyone,
    read_label_studio,
    tool_of,
)
from recognizer.dataset.layouts.files import Collection, Columns, Entry, Files
from recognizer.dataset.layouts.folders import SPLIT_FOLDERS, read_folders
from recognizer.dataset.layouts.tables import (
    find_metadata,
    find_tables,
    read_image_folder,
    read_json,
    read_table,
)
from recognizer.errors import DatasetError, UsageError

__all__ = ["LAYOUTS", "Collection", "Columns", "Entry", "read_collection"]

LAYOUTS: Mapping[str, str] = {
    "folders": "a folder for each label",
    "csv": "a CSV table",
    "imagefolder": "Hugging Face ImageFolder with a metadata file",
    "coco": "COCO annotations",
    "label-studio": "a Label Studio export",
    "fiftyone": "a FiftyOne dataset",
}
"""The layouts, and what they are called."""

_TOOLS: Mapping[str, Callable[[Any, Path, Files, Collection], None]] = {
    "coco": read_coco,
    "label-studio": read_label_studio,
    "fiftyone": read_fiftyone,
}


def read_collection(
    place: str | Path,
    layout: str | None = None,
    columns: Columns | None = None,
    photos: Path | None = None,
) -> Collection:
    """Read labelled photos in whatever layout they are.

    Args:
        place: a folder, or the CSV or JSON file in it that lists the photos.
        layout: one of :data:`LAYOUTS`; None to find out.
        columns: which columns of a table hold the file and the label; None to find out.
        photos: the folder that holds the photos; None for the one with the list.

    Raises:
        DatasetError: there are no photos, several layouts fit, or a file cannot be read.
        UsageError: there is no such layout.
    """
    place = Path(place)
    if layout is not None and layout not in LAYOUTS:
        raise UsageError(f"no layout {layout!r}; there are: {', '.join(LAYOUTS)}")
    if not place.exists():
        raise DatasetError(f"{place}: no such folder or file")
    root = photos or (place.parent if place.is_file() else place)
    files = Files(root)
    name, parts = _detect(place, layout)
    found = Collection(root=root, layout=name, words=_words(name, root, parts))
    columns = columns or Columns()
    if name == "folders":
        read_folders(found)
    for path, content in parts:
        if name == "csv":
            read_table(path, files, found, columns)
        elif name == "imagefolder":
            read_image_folder(path, files, found, columns)
        elif name in _TOOLS:
            _read_tool(name, path, content, files, found)
    if not found.entries:
        why = f": {'; '.join([*found.left_out, *found.notes][:3])}" if found.left_out else ""
        raise DatasetError(f"{place}: {found.words}, but no photo with a label{why}")
    return found


def _words(name: str, root: Path, parts: Sequence[tuple[Path, Any]]) -> str:
    names = [os.path.relpath(path, root) for path, _ in parts]
    return LAYOUTS[name] + (f" ({', '.join(names)})" if names else "")


def _read_tool(name: str, path: Path, content: Any, files: Files, found: Collection) -> None:
    try:
        _TOOLS[name](content, path, files, found)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise DatasetError(
            f"{path}: this is not what {LAYOUTS[name]} looks like ({error!r}); export it again, "
            "or make a CSV table with the columns file, label and source"
        ) from error


def _detect(place: Path, asked: str | None) -> tuple[str, list[tuple[Path, Any]]]:
    """Return the name of the layout, and the files that describe the photos with their content."""
    if asked == "folders":
        return asked, []
    fits: dict[str, list[tuple[Path, Any]]] = {}
    metadata = [place] if place.is_file() and place.stem == "metadata" else find_metadata(place)
    if metadata and asked in {None, "imagefolder"}:
        fits["imagefolder"] = [(path, None) for path in metadata]
    if asked is None or asked in _TOOLS:
        for path in _json_files(place):
            content = read_json(path)
            tool = tool_of(content)
            if tool is not None and asked in {None, tool}:
                fits.setdefault(tool, []).append((path, content))
    if asked in {None, "csv"}:
        tables = [path for path in find_tables(place) if path not in metadata or asked == "csv"]
        if len(tables) > 1:
            raise DatasetError(
                f"{place}: several tables list photos ({', '.join(p.name for p in tables)}): "
                "name one of them instead of the folder"
            )
        if tables:
            fits["csv"] = [(tables[0], None)]
    if len(fits) > 1:
        names = " and ".join(f"{LAYOUTS[name]} (--layout {name})" for name in fits)
        raise DatasetError(f"{place}: this may be {names}: say which")
    if fits:
        return next(iter(fits.items()))
    if asked is not None or place.is_file():
        raise DatasetError(
            f"{place}: this is not {LAYOUTS[asked] if asked else 'a list of labelled photos'}; a "
            "CSV table needs the columns file and label, or their names with --file-column and "
            "--label-column"
        )
    return "folders", []


def _json_files(place: Path) -> list[Path]:
    if place.is_file():
        return [place] if place.suffix.lower() == ".json" else []
    shelves = [place, *(place / name for name in ("annotations", *sorted(SPLIT_FOLDERS)))]
    return [path for shelf in shelves if shelf.is_dir() for path in sorted(shelf.glob("*.json"))]
