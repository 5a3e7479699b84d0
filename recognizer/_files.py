"""Write a file so that the old or the new version is there, whole, whatever happens.

Only an earlier file of the same kind is overwritten, never somebody's photo, scan or table. What
holds files or processes is closed by a ``with`` block. TOML files are read here, too.
"""

import csv
import json
import os
import sys
import tempfile
import tomllib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

from recognizer.errors import RecognizerError, UsageError, unknown_name

_MAX_TOML = 1 << 20
_MAX_MESSAGE = 500  # characters
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


class Closes(ABC):
    """Base of classes that are closed at the end of a ``with`` block, however it ends."""

    @abstractmethod
    def close(self) -> None:
        """Release what is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_place(path: Path) -> None:
    """Raise a UsageError unless a file can be put at this path."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: the folder {path.parent} does not exist; make it first")


def make_folder(path: Path) -> None:
    """Make a folder if it does not exist; raise a UsageError unless it can be written to."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    if not os.access(path, os.W_OK):
        raise UsageError(f"{path}: the folder cannot be written to")


def require_own(path: Path, kind: str, is_own: Callable[[BinaryIO], bool]) -> None:
    """Raise a UsageError unless a file can be written that replaces nothing but a ``kind``."""
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
        raise UsageError(f"{path}: this file is not a {kind}; it will not be overwritten")


def require_page(path: Path) -> None:
    """Raise a UsageError unless an HTML page can be written that replaces nothing but a page."""
    starts = (b"<!doctype html", b"<html")
    require_own(path, "report", lambda file: file.read(200).lstrip().lower().startswith(starts))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which takes the place of ``path`` at the end, once it is on disk.

    If the block raises, ``path`` is as it was; an ``OSError`` becomes a UsageError.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        sync_file(partial)
        os.replace(partial, path)
        sync_folder(path.parent)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        for suffix in ("", "-wal", "-shm"):  # those of SQLite, on a full disk
            with suppress(OSError):  # of a read-only file system: the first error counts
                os.unlink(f"{partial}{suffix}")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder, which takes the place of ``path`` at the end, once it is on disk.

    If the block raises, nothing is there; an ``OSError`` becomes a UsageError.
    """
    place = path.resolve()  # of a link, or of ".", the folder itself
    try:
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".making-") as scratch:
            draft = Path(scratch) / place.name
            draft.mkdir()
            yield draft
            for file in draft.rglob("*"):
                if file.is_file() and not file.is_symlink():
                    sync_file(file)
            if place.is_dir():
                place.rmdir()
            os.replace(draft, place)
            sync_folder(place.parent)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def sync_file(path: Path) -> None:
    """Put the content of a file on the disk (fsync)."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk (fsync), where the system can."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def name_columns(header: Iterable[str]) -> list[str]:
    """Return the names of columns, by place where there is none; two alike are a ``csv.Error``."""
    names = [name if name.strip() else f"column {place}" for place, name in enumerate(header, 1)]
    if len(set(names)) < len(names):
        raise csv.Error(f"two columns are named {Counter(names).most_common(1)[0][0][:80]!r}")
    return names


class CsvRows(csv.DictReader):  # type: ignore[type-arg] # without parameters before Python 3.12
    """Rows of a table; a ``csv.Error`` names the line of an open quote, or where a copy was cut.

    Rows without their last cells, as spreadsheets write them, end in a newline.
    """

    def __init__(self, lines: Iterable[str], delimiter: str = ",") -> None:
        self._line = ""
        super().__init__(self._watch(lines), delimiter=delimiter, strict=True)
        self.fieldnames = name_columns(self.fieldnames or ())

    def _watch(self, lines: Iterable[str]) -> Iterator[str]:
        for self._line in lines:
            yield self._line

    def __next__(self) -> dict[Any, Any]:
        begin = self.reader.line_num + 1
        try:
            row = super().__next__()
        except csv.Error as error:
            raise csv.Error(f"line {begin}: {error}") from error
        if (missing := [k for k, v in row.items() if v is None]) and self._line[-1:] not in "\r\n":
            words = f"line {self.line_num}: the file ends in this row, before {missing[0]!r}"
            raise csv.Error(words)
        return row | dict.fromkeys(missing, "")


def csv_cell(value: object) -> object:
    """Return a cell of CSV: null is empty, what is neither text nor number JSON.

    A text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    if isinstance(value, dict | list | tuple):
        value = json.dumps(value)
    if isinstance(value, str) and value.lstrip("'").startswith(_FORMULA_SIGNS):
        return f"'{value}"
    return value


def text_of_cell(cell: object) -> object:
    """Return the text that :func:`csv_cell` wrote as this cell; other values as they are."""
    if isinstance(cell, str) and cell[:1] == "'" and cell.lstrip("'").startswith(_FORMULA_SIGNS):
        return cell[1:]
    return cell


def read_toml(path: str | os.PathLike[str], error: type[RecognizerError]) -> dict[str, Any]:
    """Read a TOML file that somebody wrote; a file out of all bounds is an error of this class."""
    where = os.fspath(path)
    try:
        if os.path.exists(path) and not os.path.isfile(path):  # a FIFO would be waited for
            raise error(f"{where} is not a regular file")
        with open(path, "rb") as file:
            data = file.read(_MAX_TOML + 1)
        if len(data) > _MAX_TOML:
            raise error(f"{where} is larger than {_MAX_TOML:,} bytes")
        return tomllib.loads(data.decode("utf-8"))
    except OSError as cause:
        raise error(f"{where} cannot be read: {cause.strerror or cause}") from cause
    except (ValueError, RecursionError) as cause:  # also no UTF-8, endless numbers, and nesting
        raise error(f"{where} is not TOML: {str(cause)[:_MAX_MESSAGE]}") from cause


def toml_words(error: Exception) -> str:
    """Return the words of an error about values, not endless, with types named as in TOML."""
    return str(error).replace("`object`", "`table`").replace("`array`", "`list`")[:_MAX_MESSAGE]


def require_keys(
    values: Mapping[str, Any], known: Sequence[str], error: type[RecognizerError]
) -> None:
    for key in sorted(set(values) - set(known)):
        raise error(f"{unknown_name('key', key, known)}; known: {', '.join(sorted(known))}")
