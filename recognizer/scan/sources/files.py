"""Files that are read along, table or archive: a path or a URL, opened alike."""

from __future__ import annotations

import os
from typing import BinaryIO, cast

from recognizer.imaging.sources import open_regular
from recognizer.scan.sources.names import is_url, without_file_scheme
from recognizer.scan.sources.stores import Store


def open_file(name: str) -> BinaryIO:
    """Open a local file, unbuffered, or an object.

    Raises:
        MissingExtraError: the library for the store is not installed.
        Refused: with the reason.
        UsageError: there is no such store.
    """
    return Store(name).open() if is_url(name) else cast(BinaryIO, open_regular(name))


def stamp_of(file: BinaryIO) -> tuple[int, int]:
    """Return what tells whether a local file is still the one it was: its size and time."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def beside(name: str, relative: str) -> str:
    """Return where a table's own words lead: its relative paths begin in its folder."""
    relative = without_file_scheme(relative)
    if is_url(relative):
        return relative
    if is_url(name):
        return f"{name.rpartition('/')[0]}/{relative.lstrip('/')}"
    return os.path.join(os.path.dirname(name), relative)
