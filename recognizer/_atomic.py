"""Writing a file so that there is the old one or the new one, whole, whatever happens.

What is no earlier file of the same kind is not overwritten at all: a photo, a journal or somebody's
table must survive a slip on the command line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from recognizer.errors import UsageError


def check_place(path: Path) -> None:
    """Check that a file may come to lie at a path.

    Raises:
        UsageError: a folder is there, or none is around it.
    """
    if path.is_dir():
        raise UsageError(f"{path}: a folder, and not a place where a file can be written")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: the folder {path.parent} is not there; make it first")


def require_own(path: Path, kind: str, is_own: Callable[[BinaryIO], bool]) -> None:
    """Check, before any work, that a file can be written and overwrites nothing of another kind.

    Args:
        path: of the file; an empty one may be overwritten too.
        kind: what it will be, in words.
        is_own: whether what is there is such a file.

    Raises:
        UsageError: it cannot be written, or what is there is something else.
    """
    check_place(path)
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"{path}: the folder cannot be written to")
    try:
        if not path.exists():
            return
        if not path.is_file():
            raise UsageError(f"{path}: not a regular file; it will not be overwritten")
        with path.open("rb") as file:
            is_replaceable = path.stat().st_size == 0 or is_own(file)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    if not is_replaceable:
        raise UsageError(f"{path}: this file is no {kind}; it will not be overwritten")


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
