"""A published list of photos: hashes, labels, sources and splits, and no photo.

Photos of others cannot be handed on. Their content hashes can, and whoever has the photos gets from
the list the very splits that a model was trained and tested on. The list is a CSV table with
``sha256``, ``label`` (as the data came), ``correction`` (the label that is right, ``exclude``, or
empty), ``subtype``, ``source``, ``split``, ``group`` and ``fold`` (of the source, if it trains),
``license`` (as found) and ``origin`` (the path within the source).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import file_digest
from pathlib import Path

from recognizer.dataset.annotations import EXCLUDE
from recognizer.dataset.layouts import is_image
from recognizer.dataset.manifest import Photo, read_rows
from recognizer.errors import DatasetError

COLUMNS = (
    *("sha256", "label", "correction", "subtype", "source", "split"),
    *("group", "fold", "license", "origin"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The photos of a list that a folder holds, those that it lacks, and files of other content.

    ``unreadable`` says of files what is wrong with them: one line each.
    """

    found: tuple[Photo, ...]
    missing: tuple[Photo, ...]
    others: int
    unreadable: tuple[str, ...]


def read_published(table: Path, *, corrected: bool = False) -> list[Photo]:
    """Read a list, with labels as the data came, or corrected and without what is excluded.

    Raises:
        DatasetError: it cannot be read, a column is missing, or a row breaks a rule.
    """
    photos: dict[str, Photo] = {}
    for where, row in read_rows(table, COLUMNS):
        label = row["label"]
        if corrected and row["correction"]:
            label = row["correction"]
        if row["split"] not in {"train", "validation", "test"} or not label:
            raise DatasetError(f"{where}: no label, or a split that is none of the three")
        if row["sha256"] in photos:
            raise DatasetError(f"{where}: {row['sha256'][:12]}... is listed twice")
        photos[row["sha256"]] = Photo(
            path=Path(),
            sha256=row["sha256"],
            label=label,
            source=row["source"],
            split=row["split"],
            subtype=row["subtype"],
            license=row["license"],
        )
    return [photo for photo in photos.values() if photo.label != EXCLUDE]


def match_folder(
    photos: list[Photo],
    folder: Path,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Match:
    """Find the photos of a list in a folder by their content, whatever the files are called.

    Raises:
        DatasetError: there is no such folder, or it holds no image.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    files = [*_images(folder)]
    if not files:
        raise DatasetError(f"{folder}: no image in it, by the files' names")
    paths: dict[str, Path] = {}
    unreadable = []
    with ThreadPoolExecutor(2) as pool:
        for done, (file, found) in enumerate(zip(files, pool.map(_digest, files), strict=True), 1):
            if isinstance(found, OSError):
                unreadable.append(f"{file}: {found.strerror or found}")
            else:
                paths.setdefault(found, file)
            on_progress(done, len(files))
    known = {photo.sha256 for photo in photos}
    return Match(
        found=tuple(
            replace(photo, path=paths[photo.sha256]) for photo in photos if photo.sha256 in paths
        ),
        missing=tuple(photo for photo in photos if photo.sha256 not in paths),
        others=len(paths.keys() - known),
        unreadable=tuple(unreadable),
    )


def _images(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place) / name for name in sorted(names) if is_image(Path(name)))


def _digest(path: Path) -> str | OSError:
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return error
