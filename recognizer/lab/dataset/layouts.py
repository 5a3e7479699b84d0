"""Labelled photos as people keep them: folders, CSV tables, exports of Label Studio.

No image is opened.
"""

import csv
import json
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from recognizer.errors import DatasetError
from recognizer.lab.dataset.manifest import (
    MANIFEST,
    PHOTO_SUFFIXES,
    label_folders,
    raise_error,
    read_rows,
)
from recognizer.policy.listing import normal_name

SPLIT_FOLDERS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test"})
_TABLES = frozenset({".csv", ".tsv"})
FOLDER = "folder"  # the column for the folder between a label's folder and the photo

FILE_COLUMNS = (
    *("file", "file_name", "filename", "filepath", "file_path", "path"),
    *("image", "image_path", "image_file", "img", "photo"),
)
LABEL_COLUMNS = (
    *("label", "labels", "class", "class_name", "category", "category_name"),
    *("product", "species", "target", "choice"),
)


class CollectionEntry(NamedTuple):
    """One labelled photo of a collection: its file, its label, and the other columns it has."""

    path: Path
    label: str
    fields: Mapping[str, str] = {}


@dataclass(slots=True, kw_only=True)
class Collection:
    """Labelled photos below a folder, before anything is known about their content."""

    root: Path
    layout: str  # in words
    has_list: bool  # or the folders are the labels
    entries: list[CollectionEntry] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # a line for each photo that cannot be used
    notes: list[str] = field(default_factory=list)  # a line for each decision


def read_collection(place: str | Path, photos: Path | None = None) -> Collection:
    """Read the labelled photos of a folder, or of the CSV or JSON file that lists them.

    ``photos`` is the folder that holds the photos, if it is not that of the list.
    """
    place = Path(place)
    root = photos or (place.parent if place.is_file() else place)
    try:
        is_table = place.is_file() and place.suffix.lower() in _TABLES
        files = [place] if place.is_file() else filter(Path.is_file, sorted(place.iterdir()))
        tables = [file for file in files if is_table or _lists_photos(file)]
        if len(tables) > 1:
            names = ", ".join(path.name for path in tables)
            raise DatasetError(
                f"{place}: several files list photos ({names}): name one instead of the folder"
            )
        if not tables and place.is_file():
            raise DatasetError(
                f"{place}: neither a CSV table with the columns file and label, nor an export of "
                "Label Studio (JSON) with choices"
            )
        collection = Collection(root=root, layout="a folder for each label", has_list=bool(tables))
        if tables:
            is_csv = tables[0].suffix.lower() in _TABLES
            name = os.path.relpath(tables[0], root)
            collection.layout = f"{'a CSV table' if is_csv else 'Label Studio'} ({name})"
            (_read_table if is_csv else _read_tasks)(tables[0], _Files(root), collection)
        else:
            _read_folders(collection)
    except OSError as error:
        raise DatasetError(f"{error.filename or place}: {error.strerror or error}") from error
    if not collection.entries:
        reasons = "; ".join([*collection.left_out, *collection.notes][:3])
        why = f": {reasons}" if collection.left_out else ""
        raise DatasetError(f"{place}: {collection.layout}, but no photo with a label{why}")
    return collection


class _Files:
    """The files below a folder, found by the names that tables and annotations have for them."""

    def __init__(self, root: Path) -> None:
        self._root, self._given = os.path.abspath(root), root

    def find(self, name: str, *bases: Path) -> Path | str:
        """Return the file that a name means, or in words why there is none.

        A name is a path relative to one of the bases, to the folder, or to one inside it. Of the
        path of another machine, or an address, the end counts. Nothing outside the folder is found.
        """
        name = _LOCAL_FILES.sub("", name.strip().replace("\\", "/")).partition("?")[0]
        if not name.strip("./") or "\0" in name:
            return "no file name"
        missing = "no such file"
        for base in dict.fromkeys((*map(os.path.abspath, bases), self._root)):
            path = os.path.normpath(os.path.join(base, name))
            if not path.startswith(self._root + os.sep):
                missing = f"not in {self._given}; give the photos' folder with --photos"
            elif os.path.isfile(path):
                return self._given / os.path.relpath(path, self._root)
        parts = tuple(part for part in name.split("/") if part not in {"", "."})
        if ".." in parts:
            return missing
        is_complete = name.startswith("/") or "://" in name or name[1:3] == ":/"
        lengths = range(len(parts), 0, -1) if is_complete else [len(parts)]
        named = self._by_name.get(parts[-1], [])
        ends = ([path for path in named if Path(path).parts[-n:] == parts[-n:]] for n in lengths)
        matches = next(filter(None, ends), [])  # of the longest end that any file has
        if len(matches) == 1:
            return self._given / matches[0]
        return f"{len(matches)} files have this name" if matches else missing

    @cached_property
    def _by_name(self) -> Mapping[str, list[str]]:
        paths = defaultdict(list)
        for folder, _, names in os.walk(self._root, onerror=raise_error):
            for name in names:
                paths[name].append(os.path.relpath(os.path.join(folder, name), self._root))
        return paths


def _read_folders(collection: Collection) -> None:
    """Add the photos below the folders of labels; folders of splits may lie above these."""
    root = collection.root
    visible = [path for path in sorted(root.iterdir()) if not path.name.startswith(".")]
    inside = [path for path in visible if path.is_dir() and not path.name.startswith("_")]
    if loose := [p for p in visible if p.suffix.lower() in PHOTO_SUFFIXES and p.is_file()]:
        raise DatasetError(
            f"{root}: {len(loose)} photos lie in no folder (as {loose[0].name}); put each into a "
            f"folder named after its label, or list them in {root / MANIFEST} with the columns "
            "file, label and source"
        )
    has_splits = bool(inside) and all(p.name.lower() in SPLIT_FOLDERS for p in inside)
    others: list[Path] = []
    for shelf in inside if has_splits else [root]:
        split = {"split": shelf.name.lower()} if has_splits else {}
        for label, folder, path in label_folders(shelf):
            if path.suffix.lower() in PHOTO_SUFFIXES:
                source = {FOLDER: folder} if folder else {}
                collection.entries.append(CollectionEntry(path, label, split | source))
            else:
                others.append(path)
    if others:
        collection.notes.append(
            f"Skipped {len(others)} files that are not images by their name, as "
            f"{others[0].relative_to(root)}"
        )


def _lists_photos(path: Path) -> bool:
    if path.suffix.lower() in _TABLES:
        names, _ = _columns(path)
        return all(_pick(names, known) for known in (FILE_COLUMNS, LABEL_COLUMNS))
    return path.suffix.lower() == ".json" and bool(_tasks(path))


def _read_table(path: Path, files: _Files, collection: Collection) -> None:
    names, delimiter = _columns(path)
    file, label = (_pick(names, known) for known in (FILE_COLUMNS, LABEL_COLUMNS))
    if file is None or label is None:
        raise DatasetError(
            f"{path}: none of the columns {', '.join(names) or '(none)'} is called "
            f"{'label' if file else 'file'}: rename the one that is"
        )
    collection.notes.append(f"The column {file!r} names the file, {label!r} the label")
    for where, row in read_rows(path, (file, label), delimiter):
        photo = files.find(row[file], path.parent)
        if isinstance(photo, str):
            collection.left_out.append(f"{where}: {row[file]!r}: {photo}")
        elif not row[label].strip():
            collection.left_out.append(f"{where}: {row[file]}: no label")
        else:
            fields = {key: value for key, value in row.items() if key != file and value}
            collection.entries.append(CollectionEntry(photo, row[label].strip(), fields))


def _pick(names: Sequence[str], known: Sequence[str]) -> str | None:
    """Return the first known column that a table has, as the table writes it."""
    plain = {normal_name(name): name for name in names}
    return next((plain[name] for name in known if name in plain), None)


def _columns(path: Path) -> tuple[list[str], str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline(1 << 20)
        delimiter = max(",;\t", key=first.count)
        return next(csv.reader([first], delimiter=delimiter), []), delimiter
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: this is not a CSV table in UTF-8: {error}") from error


# --- Label Studio -------------------------------------------------------------------------------
# A list of tasks (https://labelstud.io/guide/task_format), whose annotations have choices.

_LOCAL_FILES = re.compile(r"^/data/local-files/\?d=")  # photos of the server's own disk
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # before the names of photos that were uploaded


def _tasks(path: Path) -> list[dict[str, Any]]:
    """Return the tasks of an export; none if the file is something else."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            if file.read(1) != "[":
                return []
            file.seek(0)
            tasks = json.load(file)
    except (UnicodeDecodeError, ValueError, RecursionError):
        return []
    is_task = all(
        isinstance(task, dict) and isinstance(task.get("data"), dict) and "annotations" in task
        for task in tasks
    )
    return tasks if is_task else []


def _read_tasks(path: Path, files: _Files, collection: Collection) -> None:
    for number, task in enumerate(_tasks(path), 1):
        where = f"{path}: task {task.get('id', number)}"
        fields = {key: str(v) for key, v in task["data"].items() if isinstance(v, str | int)}
        file = _pick([*fields], FILE_COLUMNS)
        if file is None:
            collection.left_out.append(f"{where}: its data has no image")
            continue
        name = fields.pop(file)
        photo = files.find(name, path.parent)
        if isinstance(photo, str):
            photo = files.find(_UPLOADED.sub("", name.rpartition("/")[2]))
        chosen = _choices(task["annotations"])
        if isinstance(photo, str):
            collection.left_out.append(f"{where}: {name!r}: {photo}")
        elif len(chosen) != 1:
            what = f"several labels: {', '.join(sorted(chosen))}" if chosen else "no label"
            collection.left_out.append(f"{where}: {name}: {what}")
        else:
            collection.entries.append(CollectionEntry(photo, chosen.pop(), fields))


def _choices(annotations: Any) -> set[str]:
    """Return all that people chose in a task; an annotation that was skipped says nothing."""
    try:
        said = [r for one in annotations if not one.get("was_cancelled") for r in one["result"]]
        return {c.strip() for result in said for c in result["value"].get("choices", ())} - {""}
    except (AttributeError, KeyError, TypeError):  # of another form
        return set()
