"""What a collection is read into, and how the names in it are found on the disk."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from recognizer.dataset.manifest import IMAGE_SUFFIXES


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of a table that hold the file and the label; None to find out."""

    file: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One labelled photo of a collection: its file, its label, and the other columns it has."""

    path: Path
    label: str
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Collection:
    """Labelled photos, before anything is known about their content.

    Attributes:
        root: the folder that holds all photos.
        layout, words: the layout's name, and in words.
        entries: the photos.
        left_out: what cannot be used, and why: one line each.
        notes: what was decided on the way: one line each.
    """

    root: Path
    layout: str
    words: str
    entries: list[Entry] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Files:
    """The files below a folder, found by the names that tables and exports have for them."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.abspath(root)
        self._given = root
        self._by_name: dict[str, list[str]] | None = None

    def find(self, name: str, *bases: Path) -> Path | str:
        """Return the file that a name means, or in words why there is none.

        A name is a path relative to one of the bases, to the folder, or to one inside it; or a path
        of another machine or an address, of which the end counts. What lies outside the folder is
        not found.
        """
        name, is_complete = _path_of(name)
        if not name.strip("./") or "\0" in name:
            return "no file name"
        outside = False
        for base in dict.fromkeys((*map(_absolute, bases), self._root)):
            path = os.path.normpath(os.path.join(base, name))
            if not path.startswith(self._root + os.sep):
                outside = True
            elif os.path.isfile(path):
                return self._given / os.path.relpath(path, self._root)
        parts = tuple(part for part in name.split("/") if part not in {"", "."})
        if ".." in parts:
            return f"leads out of {self._given}" if outside else "no such file"
        found = self._with_name(parts, whole=not is_complete)
        if len(found) == 1:
            return self._given / found[0]
        return f"{len(found)} files have this name" if found else "no such file"

    def _with_name(self, parts: tuple[str, ...], *, whole: bool) -> list[str]:
        """Return the files whose paths end in all of some parts, or in as many as any does."""
        if self._by_name is None:
            self._by_name = self._index()
        found = self._by_name.get(parts[-1], [])
        if not found and parts[:-2] == ("data", "upload"):
            found = self._by_name.get(parts[-1].partition("-")[2], [])
        for length in range(2, len(parts) + 1):
            longer = [path for path in found if Path(path).parts[-length:] == parts[-length:]]
            if not longer:
                return [] if whole else found
            found = longer
        return found

    def _index(self) -> dict[str, list[str]]:
        by_name = defaultdict(list)
        for folder, _, names in os.walk(self._root):
            for name in names:
                by_name[name].append(os.path.relpath(os.path.join(folder, name), self._root))
        return by_name


@lru_cache
def _absolute(folder: Path) -> str:
    return os.path.abspath(folder)


def _path_of(name: str) -> tuple[str, bool]:
    """Return a name as a path, and whether it is one from the root of some machine."""
    name = name.strip().replace("\\", "/")
    if "://" in name or name.startswith("/data/local-files/?"):
        parts = urlsplit(name)
        return parse_qs(parts.query).get("d", [unquote(parts.path)])[0].lstrip("/"), True
    return name, name.startswith("/") or name[1:3] == ":/"


def is_image(path: Path) -> bool:
    """Return whether a file is an image by its name."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
