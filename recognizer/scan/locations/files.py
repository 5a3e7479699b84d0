"""Files that are read from front to back, tables and archives: local ones and objects alike."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from recognizer.errors import RecognizerError
from recognizer.imaging.sources import Refused, open_regular, refusal
from recognizer.scan.location import Container, FileLocation
from recognizer.scan.locations.stores import Store


@contextmanager
def opened(location: Container) -> Iterator[BinaryIO]:
    """Open a local file, unbuffered, or an object; close it at the end.

    Raises:
        MissingExtraError: the library for the store is not installed.
        Refused: with the reason; also where the block fails to read from the file.
        UsageError: there is no such store.
    """
    if isinstance(location, FileLocation):
        file = cast(BinaryIO, open_regular(location.path))
    else:
        file = Store(location).open()
    with file, reading(location):
        yield file


@contextmanager
def reading(location: Container) -> Iterator[None]:
    """Turn what fails while a file is read into :class:`Refused`, with its reason."""
    try:
        yield
    except (Refused, RecognizerError):
        raise
    except OSError as error:
        raise refusal(error) from error
    except Exception as error:
        if isinstance(location, FileLocation):
            raise
        raise refusal(error) from error  # libraries of stores have errors of their own


def stamp_of(file: BinaryIO) -> tuple[int, int]:
    """Return the size and modification time (ns) of a local file."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns
