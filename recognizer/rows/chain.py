"""The chain of a journal: a file beside it by which a later change shows.

For each append the chain has a *link*: how long the journal was then, in bytes and in rows, and the
sha256 of the link before it and the bytes that were appended. A link so stands for all rows up to
its end. It is written when its rows are on the disk; rows that a crash left without one get theirs
when the journal is opened again.

Whoever can write both files can make both again. Only a link that was kept elsewhere shows that.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Self

import msgspec
from msgspec import Meta

from recognizer._atomic import replacing
from recognizer._closing import Closes
from recognizer.errors import JournalChangedError, JournalError

_PIECE = 1 << 20
_TAIL_BYTES = 4096  # more than two links have


class Link(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state of a journal after an append: its size in bytes and rows, and their digest."""

    end: Annotated[int, Meta(ge=0)]
    rows: Annotated[int, Meta(ge=0)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$", max_length=64)]

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """Read a link from its line, or raise a ValueError."""
        try:
            return msgspec.json.decode(line, type=cls)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from error

    def to_line(self) -> bytes:
        """Return the link as one line, with its newline."""
        return msgspec.json.encode(self) + b"\n"


START = Link(end=0, rows=0, sha256="0" * 64)
"""What stands before the first link."""


def chain_path(journal: str | os.PathLike[str]) -> Path:
    """Return where the chain of a journal is kept: beside it, under its name."""
    return Path(f"{os.fspath(journal)}.chain")


class Chain(Closes):
    """The chain of a journal that is open and locked; its file is made with the first link."""

    def __init__(self, journal: Path) -> None:
        self.path = chain_path(journal)
        self.last = START
        self._size = self._end = self._rows = 0
        self._digest = _digest_after(START)
        self._file: FileIO | None = None

    def read(self) -> Link:
        """Go on from the last whole link, and return it."""
        self.last, self._size = self._read_last()
        self._end, self._rows = self.last.end, self.last.rows
        self._digest = _digest_after(self.last)
        return self.last

    def close(self) -> None:
        """Put the last links on the disk, and release the file."""
        if self._file is not None:
            with suppress(OSError):  # without them, the next opening makes them again
                os.fsync(self._file.fileno())
            self._file.close()

    def add(self, block: bytes) -> None:
        """Take in whole rows that are on the disk; :meth:`seal` writes their link."""
        self._digest.update(block)
        self._end += len(block)
        self._rows += block.count(b"\n")

    def catch_up(self, journal: BinaryIO, size: int) -> None:
        """Write a link for the rows that have none, up to ``size`` bytes of the journal."""
        journal.seek(self._end)
        for piece in _pieces(journal, size - self._end):
            self.add(piece)
        self.seal()

    def seal(self) -> None:
        """Write the link of what was added; where that fails, the next one covers it too."""
        if self._end == self.last.end:
            return
        link = Link(end=self._end, rows=self._rows, sha256=self._digest.hexdigest())
        line = link.to_line()
        try:
            file = self._file = self._file or self._open()
            if file.write(line) != len(line):
                raise OSError("the disk is full")
        except OSError as error:
            if self._file is not None:
                with suppress(OSError):
                    self._file.truncate(self._size)
            raise JournalError(
                f"{self.path}: {error.strerror or error}; the rows are safe: make room and give "
                "the same command again"
            ) from error
        self._size += len(line)
        self.last = link
        self._digest = _digest_after(link)

    def check(self) -> None:
        """Raise a JournalChangedError where the file is not where it was, or not as long."""
        if self._file is None:
            return
        if not is_in_place(self._file, self.path) or size_of(self._file) != self._size:
            raise JournalChangedError(
                f"{self.path} was removed, renamed or changed while it was written; the rows are "
                "safe. Put it back, or remove it to have one made of the rows, and give the same "
                "command again"
            )

    def _open(self) -> FileIO:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        file = FileIO(os.open(self.path, flags, 0o666), "r+b")
        if size_of(file) > self._size:
            file.truncate(self._size)  # a torn last line
        return file

    def _read_last(self) -> tuple[Link, int]:
        """Return the last whole link, and the size of the file up to its end."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL_BYTES))
                tail = file.read()
        except FileNotFoundError:
            return START, 0
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror or error}") from error
        whole = tail[: tail.rfind(b"\n") + 1]
        if not whole:
            if not b'{"end":'.startswith(tail.strip(b"\0")[:7]):
                raise _no_chain(self.path, "it has no line of a chain")
            return START, 0
        try:
            return Link.from_line(whole.splitlines()[-1]), size - len(tail) + len(whole)
        except ValueError as error:
            raise _no_chain(self.path, str(error)) from error


def make_chain(journal: Path) -> None:
    """Make the chain of a journal that nobody writes."""
    with Chain(journal) as chain, journal.open("rb") as file:
        chain.read()
        chain.catch_up(file, size_of(file))


@contextmanager
def replacing_journal(path: Path) -> Iterator[Path]:
    """Yield a path to write rows to, which takes the place of a journal at the end.

    As :func:`recognizer._atomic.replacing`; the journal has a chain of its own.
    """
    with replacing(path) as partial:
        yield partial
        chain_path(path).unlink(missing_ok=True)  # that of an earlier journal of the name
    make_chain(path)


def is_in_place(file: FileIO | BinaryIO, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except OSError:
        return False


def size_of(file: FileIO | BinaryIO) -> int:
    """Return the size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def _digest_after(link: Link) -> Any:
    return hashlib.sha256(bytes.fromhex(link.sha256))


def _pieces(file: BinaryIO, count: int) -> Iterator[bytes]:
    while count > 0 and (piece := file.read(min(count, _PIECE))):
        yield piece
        count -= len(piece)


def _no_chain(path: Path, words: str) -> JournalError:
    return JournalError(f"{path} is not the chain of a journal ({words}): move it away")
