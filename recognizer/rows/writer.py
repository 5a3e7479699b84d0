"""Write a file in a single scan: a lock, the rows to resume from, a check before each batch."""

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from recognizer.errors import ScanFileChangedError, ScanFileError
from recognizer.rows.images import NewRow, change_rows, put_rows
from recognizer.rows.queue import refresh_entries
from recognizer.rows.records import SELECT_PREVIOUS, Ranking, as_utc, parent_key, result_key
from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_LOCKED_BYTE = 1 << 62  # beyond those that SQLite locks
_locked: set[tuple[int, int]] = set()  # by this process: its own locks do not stop it


class Previous(NamedTuple):
    """The state of an image by its last row."""

    result: bytes
    sha256: str | None
    file_state: bytes | None


class ScanWriter(ScanFile):
    """The file of a scan that writes it, made if it does not exist; a second scan is refused."""

    _file: int | None = None  # a descriptor, with the lock

    def __init__(self, path: str | os.PathLike[str], ranking: Ranking) -> None:
        super().__init__(path, create=True)
        self._ranking = ranking
        try:
            self._file = _lock(self.path)
            self.was_empty = not len(self)  # so that no image of this scan is known
            self._size = 0
            # No journal: each insert is a transaction of its own, and nothing of it is rolled back.
            self.execute("PRAGMA temp.journal_mode = OFF")
            self.execute("CREATE TEMP TABLE met (key INTEGER PRIMARY KEY)")
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
        records = [] if self.was_empty else self.select(SELECT_PREVIOUS, (key,))
        for sha256, *result, state in records:
            return Previous(result_key(sha256, *result), sha256, state)
        return None

    def append(
        self,
        new: Sequence[NewRow],
        changed: Sequence[tuple[int, Row]] = (),
        file_states: Sequence[tuple[int, bytes]] = (),
    ) -> None:
        """Write rows of scored images, all or none of them, if the file is in its place.

        Of other images, by number, ``changed`` has the rows that were decided again, and
        ``file_states`` the states of unchanged files.
        """
        self.check()
        if not (new or changed or file_states):
            return
        with self.transaction() as database:
            put_rows(self, new, self._ranking)
            change_rows(self, changed, self._ranking)
            states = ((state, image) for image, state in file_states)
            database.executemany("UPDATE image SET file_state = ? WHERE id = ?", states)

    def meet(self, key: int) -> bool:
        """Note that this scan meets an image, and return whether it does for the first time."""
        with self.lock, self._reported():
            statement = "INSERT OR IGNORE INTO temp.met VALUES (?)"
            return self._database.execute(statement, (key,)).rowcount > 0

    def mark_gone(self, parents: Iterable[str]) -> None:
        """Mark images of folders and tables, all of which were read, that this scan did not meet.

        They leave the queue; the next scan that meets them brings them back.
        """
        keys = ", ".join(str(parent_key(name)) for name in parents)
        with self.transaction() as database:
            changed = database.execute(
                f"UPDATE image SET gone = ? WHERE gone IS NULL AND parent IN ({keys})"
                " AND key NOT IN (SELECT key FROM temp.met)"
                " RETURNING unit, iif(audit IS NULL, NULL, sha256)",
                (as_utc(datetime.now(UTC).replace(microsecond=0)),),
            ).fetchall()
            audited = (sha256 for _, sha256 in changed if sha256 is not None)
            refresh_entries(database, (unit for unit, _ in changed), audited)

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
