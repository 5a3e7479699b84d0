"""The one scan that writes a file: resuming, and noticing what others do to the file meanwhile."""

import itertools
import os
import secrets
import sys
from collections.abc import Container, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from recognizer.errors import ScanFileChangedError, ScanFileError
from recognizer.rows.images import NewRow, change_rows, put_rows, remove_image
from recognizer.rows.queue import refresh_entries
from recognizer.rows.records import SELECT_PREVIOUS, Ranking, result_key
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
    lacks_embedding: bool


class ScanWriter(ScanFile):
    """The file of a scan that writes it, made if it does not exist; a second scan is refused."""

    _file: int | None = None  # a descriptor, with the lock

    def __init__(self, path: str | os.PathLike[str], ranking: Ranking) -> None:
        super().__init__(path, create=True)
        self._ranking = ranking
        try:
            self._file = _lock(self.path)
            self.was_empty = not len(self)  # so that no image of this scan is known
            self._size, self._changed = 0, 0
            self._token = secrets.token_hex(16).encode()
            self.set_setting("writer", self._token.decode())
            self.select("PRAGMA wal_checkpoint(PASSIVE)")
            self._has_token = self._is_own(self._file)  # unless somebody reads an older state
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
        """Return the state of an image by its :func:`item_key <recognizer.rows.item_key>`."""
        records = [] if self.was_empty else self.select(SELECT_PREVIOUS, (key,))
        for sha256, *result, state, lacks in records:
            return Previous(result_key(sha256, *result), sha256, state, bool(lacks))
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

    def drop_failures(self, key: int, name: str, seen: Container[int]) -> None:
        """Remove unseen failures of a container or folder that could be read to its end now."""
        failed = (
            "SELECT id, unit, key FROM image WHERE status = 'failed' AND +sha256 IS NULL"
            " AND (key = ?1 OR source >= ?2 || '!/' AND source < ?2 || '!0')"  # by their indexes
        )
        for image, unit, one in self.select(failed, (key, name)):
            if one not in seen:
                with self.transaction() as database:
                    remove_image(database, image)
                    refresh_entries(database, [unit])

    def check(self) -> None:
        """Raise a ScanFileChangedError if the file was moved, replaced or truncated.

        Rows that nobody else has are written to another file, which the message names.
        """
        if self._file is None:
            raise ScanFileError(f"{self.path} is closed")
        status, in_place = os.fstat(self._file), False
        with suppress(OSError):
            in_place = os.path.samestat(os.stat(self.path), status)
        if not in_place:
            raise ScanFileChangedError(self._where_rows_are(status))
        damage = "truncated" if status.st_size < self._size else None
        if status.st_mtime_ns != self._changed:  # in write-ahead mode, a few times an hour
            if self._has_token and not damage and not self._is_own(self._file):
                damage = "overwritten"
            self._changed = status.st_mtime_ns
        self._size = status.st_size
        if damage:
            raise ScanFileChangedError(
                f"{self.path} was {damage} by another program while a scan wrote it: put a copy "
                "of it in its place and give the same command again"
            )

    def _is_own(self, descriptor: int) -> bool:
        """Whether the file on the disk, without its log, is this one.

        SQLite does not notice another that is copied over it: it would mix the two.
        """
        ((page,),) = self.select("SELECT rootpage FROM sqlite_schema WHERE name = 'setting'")
        ((size,),) = self.select("PRAGMA page_size")
        os.lseek(descriptor, (page - 1) * size, os.SEEK_SET)
        return self._token in os.read(descriptor, size)

    def _where_rows_are(self, status: os.stat_result) -> str:
        # The log stays at the old path, and belongs to no file that is put there.
        self.select("PRAGMA wal_checkpoint(TRUNCATE)")
        if status.st_nlink:
            there = "wherever it is now"
            with suppress(OSError):
                there = os.readlink(f"/proc/self/fd/{self._file}")
            return (
                f"{self.path} was renamed or replaced while a scan wrote it; its rows are in "
                f"{there}. Put it back in its place and give the same command again"
            )
        names = (f"{self.path.name}.recovered{number or ''}" for number in itertools.count())
        places = itertools.chain([self.path], map(self.path.with_name, names))
        target = next(place for place in places if not place.exists())
        self.copy_to(target)
        return (
            f"{self.path} was removed while a scan wrote it; its rows were written again to "
            f"{target}. With that file in its place, give the same command again"
        )


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
