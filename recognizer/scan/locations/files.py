"""Files that are read along, table or archive: a path or a URL, opened alike."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from recognizer.errors import RecognizerError
from recognizer.imaging.sources import Refused, open_regular, refusal
from recognizer.scan.locations.names import is_url, without_file_scheme
from recognizer.scan.locations.stores import Store


@contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """Open a local file, unbuffered, or an object; it is closed at the end.

    Raises:
        MissingExtraError: the library for the store is not installed.
        Refused: with the reason; also where the block fails to read from the file.
        UsageError: there is no such store.
    """
    file = Store(name).open() if is_url(name) else cast(BinaryIO, open_regular(name))
    with file, reading(name):
        yield file


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what fails while a file is read into :class:`Refused`, with its reason."""
    try:
        yield
    except (Refused, RecognizerError):
        raise
    except OSError as error:
        raise refusal(error) from error
    except Exception as error:
        if not is_url(name):
            raise
        raise refusal(error) from error  # libraries of stores have errors of their own


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
