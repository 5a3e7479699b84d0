"""Tables: CSV with a row for each photo, and the metadata files of Hugging Face's ImageFolder."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recognizer.dataset.layouts.files import Collection, Columns, Entry, Files
from recognizer.dataset.layouts.folders import SPLIT_FOLDERS
from recognizer.errors import DatasetError

FILE_COLUMNS = (
    *("file", "file_name", "filename", "filepath", "file_path", "path"),
    *("image", "image_path", "image_file", "img", "photo"),
)
LABEL_COLUMNS = (
    *("label", "labels", "class", "class_name", "category", "category_name"),
    *("product", "species", "target"),
)
_METADATA = ("metadata.csv", "metadata.jsonl")


def find_metadata(place: Path) -> list[Path]:
    """Return the metadata files of an ImageFolder: at its top, or in the folders of its splits."""
    if place.is_file():
        return [place] if place.name in _METADATA else []
    shelves = [place, *(p for p in sorted(place.iterdir()) if p.name.lower() in SPLIT_FOLDERS)]
    found = [shelf / name for shelf in shelves for name in _METADATA]
    return [
        path for path in found if path.is_file() and "file_name" in _columns(path)
    ]  # other programs have files of this name, too


def find_tables(place: Path) -> list[Path]:
    """Return the CSV files of a folder that have a column for a file and one for a label."""
    if place.is_file():
        return [place] if place.suffix.lower() in {".csv", ".tsv"} else []
    tables = [p for p in sorted(place.iterdir()) if p.suffix.lower() in {".csv", ".tsv"}]
    return [
        path
        for path in tables
        if path.is_file()
        and all(_pick(_columns(path), known) for known in (FILE_COLUMNS, LABEL_COLUMNS))
    ]


def read_table(path: Path, files: Files, found: Collection, columns: Columns) -> None:
    """Add the photos of a CSV table.

    Raises:
        DatasetError: it cannot be read, or has no column for the file or the label.
    """
    names = _columns(path)
    file = _require(path, names, FILE_COLUMNS, columns.file, "--file-column")
    label = _require(path, names, LABEL_COLUMNS, columns.label, "--label-column")
    found.notes.append(f"The column {file!r} names the file, {label!r} the label")
    for where, row in _rows(path):
        _add(row, file, row.get(label, ""), where, (path.parent,), files, found)


def read_image_folder(path: Path, files: Files, found: Collection, columns: Columns) -> None:
    """Add the photos of a metadata file; without a column for it, the label is the folder's name.

    Raises:
        DatasetError: it cannot be read, or has no column ``file_name``.
    """
    names = _columns(path)
    file = _require(path, names, ("file_name",), columns.file, "--file-column")
    label = columns.label or _pick(names, LABEL_COLUMNS)
    if columns.label:
        _require(path, names, LABEL_COLUMNS, columns.label, "--label-column")
    found.notes.append(
        f"The column {label!r} of {path.name} is the label"
        if label
        else f"{path.name} has no column for the label: it is the name of the photo's folder"
    )
    split = {"split": path.parent.name.lower()} if path.parent != found.root else {}
    for where, row in _rows(path):
        name = row.get(label, "") if label else Path(row.get(file, "").strip()).parent.name
        _add({**split, **row}, file, name, where, (path.parent,), files, found)


def _add(
    row: Mapping[str, str],
    file: str,
    label: str,
    where: str,
    bases: Sequence[Path],
    files: Files,
    found: Collection,
) -> None:
    name = row.get(file, "")
    path = files.find(name, *bases)
    if isinstance(path, str):
        found.left_out.append(f"{where}: {name!r}: {path}")
    elif not label.strip():
        found.left_out.append(f"{where}: {name}: no label")
    else:
        others = {key: value for key, value in row.items() if key != file and value}
        found.entries.append(Entry(path=path, label=label.strip(), fields=others))


def _pick(names: Sequence[str], known: Sequence[str]) -> str | None:
    """Return the first known column that a table has, as the table writes it."""
    plain = {name.strip().lower().replace(" ", "_").replace("-", "_"): name for name in names}
    return next((plain[name] for name in known if name in plain), None)


def _require(
    path: Path, names: Sequence[str], known: Sequence[str], asked: str | None, option: str
) -> str:
    if asked is not None and asked not in names:
        raise DatasetError(f"{path}: no column {asked!r}; there are: {', '.join(names)}")
    found = asked or _pick(names, known)
    if found is None:
        raise DatasetError(
            f"{path}: none of the columns {', '.join(names) or '(none)'} is called "
            f"{known[0]}; name one with {option}"
        )
    return found


def _columns(path: Path) -> list[str]:
    if path.suffix.lower() == ".jsonl":
        return [*next((row for _, row in _rows(path)), {})]
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return next(csv.reader([file.readline(1 << 20)], delimiter=_delimiter(path)), [])
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: this is not a CSV table in UTF-8: {error}") from error


def _delimiter(path: Path) -> str:
    with path.open(encoding="utf-8-sig") as file:
        first = file.readline(1 << 20)
    return max(",;\t", key=first.count)


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the place of each row, and its cells as text."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            if path.suffix.lower() != ".jsonl":
                reader = csv.DictReader(file, restval="", delimiter=_delimiter(path))
                for row in reader:
                    row.pop(None, None)
                    yield f"{path}:{reader.line_num}", row
                return
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"{path}:{number}", _cells(json.loads(line), f"{path}:{number}")
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path}:{number}: this is not JSON: {error.msg}") from error
    except (UnicodeDecodeError, csv.Error, RecursionError) as error:
        raise DatasetError(f"{path}: {error}") from error


def _cells(row: object, where: str) -> dict[str, str]:
    if not isinstance(row, dict):
        raise DatasetError(f"{where}: each line must be a JSON object")
    return text_fields(row)


def text_fields(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts and numbers of a JSON object as the cells of a row."""
    return {key: str(value) for key, value in row.items() if isinstance(value, str | int | float)}


def read_json(path: Path) -> Any:
    """Read a JSON file, or raise a DatasetError."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DatasetError(
            f"{path}: this is not JSON ({error}). Export it again; if it has nothing to do with "
            "the labels, name the layout with --layout"
        ) from error
