"""The journal: the file of rows, which only grows, and from which a scan is resumed.

Rows are written a batch at a time, with one write and one fsync: if a scan is killed, at worst the
last line is torn, and that one is cut off when the journal is opened again. A journal may hold rows
of several models and policies; **the last row of an item counts**. All reading is done here.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

from recognizer._atomic import free_name, replacing, sync_folder
from recognizer._closing import Closes
from recognizer._sqlite import TemporaryStore
from recognizer.errors import JournalChangedError, JournalError
from recognizer.rows.chain import Chain, Link, chain_path, is_in_place, size_of
from recognizer.rows.row import Outline, Row, RowSchemaError
from recognizer.status import Reason, Status

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

T = TypeVar("T")

COSTLY = (Reason.DECODER_CRASH, Reason.TIMEOUT, Reason.OUT_OF_MEMORY)
"""Why an image may have cost a worker process. Each new try may cost one again, so the same bytes
are tried again only on request; any other failure is tried again by the next scan: the storage may
be back, or the limits wider."""

_BEGINNING = b'{"source":'  # of every row
_KEY_BYTES = 16
_SIGN = 1 << 63  # SQLite's integers are signed
_READ_BYTES = 4096  # more than most rows have
_BEYOND_THE_END = 1 << 62  # Windows locks bytes, and locked bytes cannot be read by others


class Last(NamedTuple):
    """An item's last row: its :func:`result_key`, and where its line begins, in bytes."""

    result: bytes
    offset: int


class ItemTable(TemporaryStore):
    """A table of items in a file, by key: a lookup costs microseconds, an image milliseconds."""

    def __init__(self, columns: str = "") -> None:
        super().__init__(f"CREATE TABLE items (key INTEGER PRIMARY KEY{columns})")

    def _run(self, statement: str, key: int, *values: Any) -> sqlite3.Cursor:
        with self._reported():
            return self._database.execute(statement, (key - _SIGN, *values))


class Index(ItemTable):
    """Map an item's key to its :class:`Last` row."""

    def __init__(self) -> None:
        super().__init__(", result BLOB, offset INTEGER")

    def get(self, key: int) -> Last | None:
        """Return an item's last row; None where it has none."""
        row = self._run("SELECT result, offset FROM items WHERE key = ?", key).fetchone()
        return None if row is None else Last(*row)

    def put(self, key: int, last: Last) -> None:
        """Replace an item's last row."""
        self._run("INSERT OR REPLACE INTO items VALUES (?, ?, ?)", key, *last)


class KeySet(ItemTable):
    """A set of keys."""

    def add(self, key: int) -> bool:
        """Add a key, and return whether it is a new one."""
        return self._run("INSERT OR IGNORE INTO items VALUES (?)", key).rowcount > 0


class JournalReader(Closes):
    """A journal that is open for reading; a scan may be writing it. It raises JournalErrors."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with self._reported():
            self._file = self.path.open("rb")

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Yield each row with the offset of its line, up to a line that has no end."""
        with self._reported():
            for offset, _, row in _whole_rows(self._file, self.path):
                yield offset, row

    def outlines(self) -> Iterator[tuple[int, Outline]]:
        """Yield the outline of each row with the offset of its line, as :meth:`rows` does."""
        with self._reported():
            for offset, _, outline in _whole_lines(self._file, self.path, Outline.from_json_line):
                yield offset, outline

    def lines(self) -> Iterator[bytes]:
        """Yield the line of each row, up to one that has no end; :meth:`outlines` checks them."""
        with self._reported():
            self._file.seek(0)
            yield from itertools.takewhile(lambda line: line.endswith(b"\n"), self._file)

    def rows_from(self, begin: int) -> Iterator[tuple[int, int, Row]]:
        """Yield each row with its first byte and the one behind it, from an offset on."""
        with self._reported():
            yield from _whole_lines(self._file, self.path, Row.from_json_line, begin)

    def row_at(self, offset: int) -> Row:
        """Return the row whose line begins at an offset."""
        with self._reported():
            self._file.seek(offset)
            try:
                return Row.from_json_line(self._file.readline())
            except ValueError as error:
                raise JournalError(f"{self.path} was changed while it was read") from error

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror or error}") from error


class Journal(Closes):
    """A journal that is open for a scan, and locked against any other; it is made if necessary."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.torn_bytes = 0
        self._chain = Chain(self.path)
        self._file = self._open()
        self._index = Index()
        try:
            lock_journal(self._file, self.path)
            self._size = self._read_index(self._chain.read())
            self._chain.catch_up(self._file, self._size)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the file and the lock."""
        self._chain.close()
        self._file.close()
        self._index.close()

    @property
    def last_link(self) -> Link:
        """The last link of the chain: it stands for all rows."""
        return self._chain.last

    def known(self, key: int) -> bytes | None:
        """Return the :func:`result_key` of an item's last row; None where it has no row."""
        last = self._index.get(key)
        return None if last is None else last.result

    def last_row(self, key: int) -> Row:
        """Read an item's last row again; there must be one."""
        last = self._index.get(key)
        if last is None:
            raise KeyError(key)
        self._file.seek(last.offset)
        line = b""
        while b"\n" not in line and (piece := self._file.read(_READ_BYTES)):
            line += piece
        try:
            return Row.from_json_line(line.partition(b"\n")[0])
        except ValueError as error:
            self.check()
            raise JournalChangedError(f"{self.path} was changed while a scan wrote it") from error

    def append(self, rows: Sequence[Row]) -> None:
        """Write rows, all or none of them, and wait until they are on the disk.

        Raises:
            JournalChangedError: see :meth:`check`.
            JournalError: they cannot be written.
        """
        self.check()
        lines = [row.to_json_line() for row in rows]
        block = b"".join(lines)
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except BaseException as error:  # an interrupt too must leave whole lines
            with suppress(OSError):  # else the next scan cuts off what is torn
                if size_of(self._file) > self._size:
                    self._file.truncate(self._size)
            if not isinstance(error, OSError):
                raise
            raise JournalError(
                f"{self.path}: {error.strerror}; the rows so far are safe: make room and give the "
                "same command again"
            ) from error
        for row, line in zip(rows, lines, strict=True):
            self._index.put(row.key, Last(row_key(row), self._size))
            self._size += len(line)
        self._chain.add(block)
        self._chain.seal()

    def check(self) -> None:
        """Raise a JournalChangedError unless the file is where it was, and as long.

        Rows of a file that was removed are written again; nobody else has them.
        """
        size = size_of(self._file)
        if not is_in_place(self._file, self.path):
            raise JournalChangedError(self._where_rows_are())
        if size != self._size:
            raise JournalChangedError(
                f"{self.path} was changed by another program while a scan wrote it: it has "
                f"{size:,} bytes instead of {self._size:,}. If it was truncated after a copy was "
                "made (logrotate's copytruncate), put the copy in its place and give the same "
                "command again; otherwise name another --output"
            )
        self._chain.check()

    def _where_rows_are(self) -> str:
        """Say where the rows are once the file has left its place."""
        if os.fstat(self._file.fileno()).st_nlink:
            there = "wherever it is now"
            with suppress(OSError):
                there = os.readlink(f"/proc/self/fd/{self._file.fileno()}")
            return (
                f"{self.path} was renamed or replaced while a scan wrote it; its rows are in "
                f"{there}. Put it back in its place and give the same command again"
            )
        target = free_name(self.path, ".recovered") if self.path.exists() else self.path
        with replacing(target) as partial, partial.open("wb") as copy:
            self._file.seek(0)
            shutil.copyfileobj(self._file, copy)
        return (
            f"{self.path} was removed while a scan wrote it; its rows were written again to "
            f"{target}. With that file in its place, give the same command again"
        )

    def _open(self) -> BinaryIO:
        # Appending, so that a write into a file that was just truncated leaves no hole of NULs.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        flags |= getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            if self.path.exists() and not self.path.is_file():
                raise JournalError(f"{self.path} is not a regular file")
            is_new = not self.path.exists()
            if is_new and (last := self._chain.read()).rows:
                raise _shorter_than_its_chain(self.path, 0, last)
            file = open(os.open(self.path, flags, 0o666), "r+b", buffering=0)  # noqa: SIM115
            if is_new:
                sync_folder(self.path.parent)
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror or error}") from error
        return file

    def _read_index(self, link: Link) -> int:
        """Index the whole rows, cut off what is torn, and return the size that is left.

        ``link`` is the last of the chain: it must end with a row.
        """
        size = rows = 0
        is_linked = link.rows == 0
        with self.path.open("rb") as file:
            # Before anything is cut off: the file may be a photo, or somebody's notes.
            for rows, (offset, end, row) in enumerate(_whole_rows(file, self.path), 1):
                self._index.put(row.key, Last(row_key(row), offset))
                size = end
                is_linked |= (end, rows) == (link.end, link.rows)
            whole = file.seek(0, os.SEEK_END)
        if size < link.end:
            raise _shorter_than_its_chain(self.path, whole, link)
        if not is_linked:
            raise JournalError(
                f"{self.path} was changed since it was written: its chain "
                f"({chain_path(self.path).name}) has other rows. Name another --output"
            )
        self.torn_bytes = whole - size
        if self.torn_bytes:
            self._file.truncate(size)
            os.fsync(self._file.fileno())
        return size


def lock_journal(file: BinaryIO, path: Path) -> None:
    """Lock a journal against other scans until the file is closed."""
    try:
        if sys.platform == "win32":
            file.seek(_BEYOND_THE_END)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise JournalError(
            f"{path} is in use by another scan: wait for it, or name another --output"
        ) from error
    except PermissionError as error:  # how Windows says the same
        raise JournalError(f"{path} is in use by another scan") from error
    except OSError as error:
        raise JournalError(f"{path} cannot be locked: {error.strerror}") from error


def _shorter_than_its_chain(path: Path, size: int, link: Link) -> JournalError:
    chain = chain_path(path)
    todo = "name another --output" if size else f"remove {chain} too, to begin anew"
    return JournalError(
        f"{path} has {size:,} bytes, but {link.rows:,} rows in {link.end:,} bytes were written "
        f"({chain.name}): put the whole file back in its place, or {todo}"
    )


def result_key(
    sha256: str | None,
    reason: str | None,
    model: str,
    policy: str,
    preprocessing: int,
    bank: str | None = None,
) -> bytes:
    """Return what a row is a result of, in 16 bytes: digests, and the reason of a failure."""
    parts = [sha256 or "", reason or "", model, policy, str(preprocessing)]
    text = "\n".join(parts if bank is None else [*parts, bank])
    return hashlib.blake2b(text.encode(), digest_size=_KEY_BYTES).digest()


def row_key(row: Row) -> bytes:
    """Return the :func:`result_key` of a row."""
    return result_key(
        row.sha256,
        row.reason if row.status is Status.FAILED else None,
        row.model.digest,
        row.policy.digest,
        row.preprocessing,
        None if row.bank is None else row.bank.digest,
    )


def is_journal(file: BinaryIO) -> bool:
    """Whether a file that is not empty begins as a journal does."""
    return file.read(len(_BEGINNING)) == _BEGINNING


def last_rows(path: str | os.PathLike[str]) -> Iterator[Row]:
    """Yield the last row of each item, in the order of the journal."""
    with JournalReader(path) as reader, Index() as index:
        for offset, row in reader.rows():
            index.put(row.key, Last(b"", offset))
        for offset, row in reader.rows():  # more rows than before, if a scan is writing it
            if index.get(row.key) == (b"", offset):
                yield row


def _whole_rows(file: BinaryIO, path: Path) -> Iterator[tuple[int, int, Row]]:
    return _whole_lines(file, path, Row.from_json_line)


def _whole_lines(
    file: BinaryIO, path: Path, read: Callable[[bytes], T], start: int = 0
) -> Iterator[tuple[int, int, T]]:
    """Yield each row with its first byte and the one behind it, up to a line that has no end."""
    file.seek(0)
    head = file.read(len(_BEGINNING))
    if not _BEGINNING.startswith(head) and head.strip(b"\0"):
        raise JournalError(f"{path} exists and is not the journal of a scan")
    file.seek(start)
    begin = start
    for number, line in enumerate(file, 1):
        if not line.endswith(b"\n"):
            return
        try:
            row = read(line)
        except RowSchemaError as error:
            raise JournalError(f"{path}: {error}") from error
        except ValueError as error:
            place = f"line {number}" if not start else f"the line at byte {begin}"
            raise JournalError(
                f"{path}, {place} is not a row of a scan ({error}): name another journal"
            ) from error
        yield begin, begin + len(line), row
        begin += len(line)
