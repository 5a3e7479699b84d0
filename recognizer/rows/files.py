"""The states of files: by which a later scan knows, without reading a file, that it is the same.

As git does, a file is taken to be unchanged where its size, times and inode are those with which it
was read. The state only stands for the bytes: whether a row still holds is for the journal to say.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from recognizer._sqlite import Store

RACY_NS = 2_000_000_000
"""A file that changed so shortly before it was read is read again by the next scan: it may have
changed once more within the same tick of its file system's clock, which is 2 s on FAT."""

_STATE_BYTES = 16
_SIGN = 1 << 63  # SQLite's integers are signed
_WAITING = 1024  # states that a crash may lose; their files are read again


class FileState(NamedTuple):
    """What changes with a file: its size in bytes, its times in ns since 1970, and its inode."""

    size: int
    modified: int
    changed: int  # of anything, the name and the other times included; nobody can set it
    inode: int

    @classmethod
    def of(cls, path: str) -> Self | None:
        """Return the state of a file now; None where there is none."""
        with suppress(OSError, ValueError):
            status = os.stat(path)
            return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        return None

    def is_settled(self, now: int | None = None) -> bool:
        """Whether any later change shows; ``now`` is the time in ns when it was read."""
        now = time.time_ns() if now is None else now
        return max(self.modified, self.changed) < now - RACY_NS

    @property
    def digest(self) -> bytes:
        """16 bytes that differ where any of it differs."""
        text = " ".join(map(str, self))
        return hashlib.blake2b(text.encode(), digest_size=_STATE_BYTES).digest()


def files_path(journal: str | os.PathLike[str]) -> Path:
    """Return where the states of a journal's files are kept: beside it, under its name."""
    return Path(f"{os.fspath(journal)}.files")


class FileStore(Store):
    """The state of each file of a journal when it was read, and the sha256 of what was read.

    It is made again where it was deleted while in use.
    """

    APPLICATION_ID = 0x574C4653
    KIND = "store of the states of files"
    TABLES = (
        "CREATE TABLE IF NOT EXISTS files"
        " (item INTEGER PRIMARY KEY, state BLOB NOT NULL, sha256 BLOB NOT NULL)"
    )
    ADVICE = (
        "make room or remove this file (without it, files are read again; the rows are safe), and "
        "give the same command again"
    )

    def __init__(self, path: str | os.PathLike[str], *, create: bool) -> None:
        super().__init__(path, create=create)
        self._waiting: list[tuple[int, bytes, bytes]] = []

    def close(self) -> None:
        """Write what waits, and release the file."""
        try:
            self._flush()
        finally:
            super().close()

    def sha256(self, item: int, state: FileState) -> str | None:
        """Return the sha256 of an item's file as it was read in this state; None if it was not."""
        with self._reported():
            row = self._database.execute(
                "SELECT sha256 FROM files WHERE item = ? AND state = ?",
                (item - _SIGN, state.digest),
            ).fetchone()
        return None if row is None else bytes(row[0]).hex()

    def add(self, files: Iterable[tuple[int, FileState, str]]) -> None:
        """Keep states, each with the key of its item and the sha256 of the file, in a while."""
        self._waiting += [
            (item - _SIGN, state.digest, bytes.fromhex(sha256)) for item, state, sha256 in files
        ]
        if len(self._waiting) >= _WAITING:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._write("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", waiting)
