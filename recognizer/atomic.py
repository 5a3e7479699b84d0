"""Writing a file so that there is the old one or the new one, whole, whatever happens."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recognizer.errors import UsageError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file to be written, which takes the place of ``path`` at the end.

    It is on the disk (fsync) before it gets its name. Where the block raises, ``path`` is as it
    was, and nothing is left behind.

    Raises:
        UsageError: an ``OSError`` in the block or after it, in words.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync_folder(path.parent)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # of a read-only file system, for one: the first error is told
            partial.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk, where the system does that at all."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
