"""Files that are read from front to back, tables and archives: local ones and objects alike."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from recognizer.errors import RecognizerError
from recognizer.imaging.sources import Refused, open_regular, refusal
from recognizer.scan.containers.bounds import Progress
from recognizer.scan.location import Container, FileLocation
from recognizer.scan.locations.stores import Store

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Unpacked(io.RawIOBase):
    """A stream of unpacked bytes that keeps to the bounds of its container.

    Args:
        stream: what unpacks.
        packed: the file behind it; None where it is the same.
        progress: counts what comes out.
    """

    def __init__(self, stream: BinaryIO, packed: BinaryIO | None, progress: Progress) -> None:
        self._stream = stream
        self._packed = packed
        self._progress = progress

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` bytes."""
        data = self._stream.read(size)
        packed = None if self._packed is None else self._packed.tell()
        self._progress.unpack(len(data), packed)
        return data

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read as many bytes as there is room for, or fewer."""
        view = memoryview(buffer)
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


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
