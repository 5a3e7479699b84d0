"""Write a file in a single scan: a lock, the rows to resume from, a check before each batch."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from recognizer.errors import ScanFileChangedError, ScanFileError
from recognizer.rows.images import NewRow, change_rows, put_rows
from recognizer.rows.records import SELECT_PREVIOUS, Ranking, as_utc, result_key
from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile
from recognizer.status import Reason

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_UNFINISHED = "scan_began"  # a setting: when a scan began that has not met all of its input
_LOCKED_BYTE = 1 << 62  # beyond those that SQLite locks
_locked: set[tuple[int, int]] = set()  # by this process: its own locks do not stop it


class Previous(NamedTuple):
    """The state of an image by its last row."""

    result: bytes
    sha256: str | None
    file_state: bytes | None
    is_met: bool  # by this scan already


class Met(NamedTuple):
    """An image, by number, whose earlier row holds; ``unread`` says why it could not be read."""

    image: int
    file_state: bytes | None = None
    unread: Reason | None = None


class ScanWriter(ScanFile):
    """The file of a scan that writes it, made if it does not exist; a second scan is refused."""

    _file: int | None = None  # a descriptor, with the lock

    def __init__(self, path: str | os.PathLike[str], ranking: Ranking) -> None:
        super().__init__(path, create=True)
        self._ranking = ranking
        try:
            self._file = _lock(self.path)
            self._size = 0
            self.started = as_utc(datetime.now(UTC))
            if not self.setting(_UNFINISHED):  # a scan that was stopped goes on
                self.set_setting(_UNFINISHED, self.started)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the file and the lock."""
        super().close()  # first: closing any descriptor of a file ends SQLite's own locks on it
        if self._file is not None:
            status = os.fstat(self._file)
            _locked.discard((status.st_dev, status.st_ino))
            os.close(self._file)
            self._file = None

    def previous(self, key: int) -> Previous | None:
        """Return the state of an image by its :func:`item_key <recognizer.rows.records>`."""
        for sha256, *result, state, last_seen in self.select(SELECT_PREVIOUS, (key,)):
            return Previous(result_key(sha256, *result), sha256, state, last_seen == self.started)
        return None

    def append(
        self,
        new: Sequence[NewRow],
        changed: Sequence[tuple[int, Row]] = (),
        met: Sequence[Met] = (),
    ) -> None:
        """Write rows of scored images, all or none of them, if the file is in its place.

        Of other images that this scan meets, ``changed`` has the rows that were decided again.
        """
        self.check()
        if not (new or changed or met):
            return
        with self.transaction() as database:
            written = put_rows(self, new, self._ranking)
            change_rows(self, changed, self._ranking)
            states = ((one.file_state, one.image) for one in met if one.file_state is not None)
            database.executemany("UPDATE image SET file_state = ? WHERE id = ?", states)
            seen = [*((image, None) for image in written), *((m.image, m.unread) for m in met)]
            values = ((image, self.started, unread) for image, unread in seen)
            database.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", values)

    def finish(self) -> None:
        """Note that the scan met all of its input: what is new is so since it began."""
        with self.transaction():
            self.set_setting("last_scan", self.setting(_UNFINISHED) or self.started)
            self.set_setting(_UNFINISHED, "")

    def check(self) -> None:
        """Raise a ScanFileChangedError if the file was moved, removed, replaced or truncated."""
        if self._file is None:
            raise ScanFileError(f"{self.path} is closed")
        status = os.fstat(self._file)
        with suppress(OSError):
            if os.path.samestat(os.stat(self.path), status) and status.st_size >= self._size:
                self._size = status.st_size
                return
        # The log stays at the old path, and belongs to no file that is put there.
        self.select("PRAGMA wal_checkpoint(TRUNCATE)")
        words = f"{self.path} was moved, removed, replaced or truncated while a scan wrote it"
        advice = "put the file, or a copy, back in its place and give the same command again"
        raise ScanFileChangedError(f"{words}: {advice}")


def _lock(path: Path) -> int:
    """Lock the file against other scans until the descriptor that is returned is closed."""
    status = os.stat(path)
    in_use = f"{path} is in use by another scan: wait, stop it, or scan into another --output"
    if (status.st_dev, status.st_ino) in _locked:
        raise ScanFileError(in_use)
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _LOCKED_BYTE)
    except OSError as error:
        os.close(descriptor)
        is_locked = isinstance(error, BlockingIOError | PermissionError)
        why = f"{path} cannot be locked ({error.strerror}): name an --output on a local disk"
        raise ScanFileError(in_use if is_locked else why) from error
    _locked.add((status.st_dev, status.st_ino))
    return descriptor
