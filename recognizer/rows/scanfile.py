"""The file of a scan: one SQLite database, written by one scan and read by whoever wants to.

``schema.sql`` is its contract. Each batch of rows is one transaction in write-ahead mode with an
fsync, with the entries of the queue. A team's file of outcomes is a file of the same kind.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from recognizer._atomic import check_place, sync_folder
from recognizer._closing import Closes
from recognizer.errors import ScanFileChangedError, ScanFileError
from recognizer.imaging.thumbnail import Thumbnail
from recognizer.known.bank import APPLICATION_ID as BANK_ID
from recognizer.policy.listing_columns import listing_of
from recognizer.rows.records import SELECT_ROW, as_name, read_row
from recognizer.rows.row import Row

APPLICATION_ID = 0x574C5343  # "WLSC"
VERSION = 1
_BUSY_SECONDS = 60.0
_CACHE_KIBIBYTES = 64 << 10
_LOG_PAGES = 4000  # of the write-ahead log, before they are copied into the file
_ROWS_AT_A_TIME = 1000
_MAX_THUMBNAIL_BYTES = 256 << 10  # no scan writes a larger one
_NO_LOCKS = (
    "this file system cannot hold a scan that is written (no locks or shared memory, as on some "
    "network drives): name an --output on a local disk"
)
DAMAGES = (ValueError, TypeError, msgspec.MsgspecError, RecursionError)  # of text that is not a row
_SAFE = "what was written so far is safe, and the same command goes on"
Values: TypeAlias = Sequence[Any] | Mapping[str, Any]  # of the parameters of a statement
_LOCK_ERRORS = frozenset(
    {
        *(sqlite3.SQLITE_IOERR_LOCK, sqlite3.SQLITE_IOERR_SHMLOCK, sqlite3.SQLITE_IOERR_SHMMAP),
        *(sqlite3.SQLITE_IOERR_SHMOPEN, sqlite3.SQLITE_PROTOCOL),
    }
)


class ScanFile(Closes):
    """A scan's file, open for reading, or with ``write`` for outcomes, decisions and merging too.

    All methods raise a ScanFileError if it cannot be used.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, write: bool = False, create: bool = False
    ) -> None:
        self.path = Path(path)
        self.lock = threading.RLock()
        self.is_writable = write or create
        _require_place(self.path, create=create)
        with self._reported():
            self._database, self._uri = self._connect(create=create)
        self._real_path = os.path.realpath(self.path)
        _open_here[self._real_path] += 1
        try:
            with self._reported():
                self._check(create=create)
            self.listing_column = self.setting("listing_column")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the file."""
        with suppress(sqlite3.Error):  # nothing is left to be written
            self._database.close()
        _open_here[self._real_path] -= bool(self._real_path)
        self._real_path = ""

    # --- opening ----------------------------------------------------------------------------------

    def _connect(self, *, create: bool) -> tuple[sqlite3.Connection, str]:
        """Open the file, by SQLite alone: to close it otherwise would end SQLite's locks on it."""
        uri = self.path.absolute().as_uri()
        has_place = all(os.access(path, os.W_OK) for path in (self.path, self.path.parent))
        if self.is_writable or has_place:
            # For reading, too: who closes it last takes the log away.
            return _open(f"{uri}?mode={'rwc' if create else 'rw'}")
        try:
            return _open(f"{uri}?mode=ro")
        except sqlite3.OperationalError:
            # A read-only disk has no place for the shared memory; without a log the file is whole.
            with suppress(OSError):
                if os.stat(f"{self.path}-wal").st_size:
                    raise
            return _open(f"{uri}?mode=ro&immutable=1")

    def _check(self, *, create: bool) -> None:
        """Check whose file it is before anything is written to it; make the tables of a new one."""
        application, version, tables = self._database.execute(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)"
            " FROM pragma_application_id, pragma_user_version"
        ).fetchone()
        is_new = create and not application and not tables
        if not is_new and application != APPLICATION_ID:
            kind = " but a bank of known items" if application == BANK_ID else ""
            raise ScanFileError(f"{self.path} is not the file of a scan or of outcomes{kind}")
        if not is_new and version != VERSION:
            todo = "update this program" if version > VERSION else "scan the images again"
            raise ScanFileError(
                f"{self.path} is of version {version}, this program reads version {VERSION}: {todo}"
            )
        if self.is_writable:
            (mode,) = self._database.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise ScanFileError(f"{self.path}: {_NO_LOCKS}")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
            self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
        if is_new:
            self._create()

    def _create(self) -> None:
        schema = resources.files("recognizer.rows").joinpath("schema.sql").read_text("utf-8")
        self._database.execute("BEGIN IMMEDIATE")
        # Another process may have made the very same file meanwhile.
        if not self._database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            for statement in schema.split(";\n"):
                self._database.execute(statement)
            self._database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._database.execute(f"PRAGMA user_version = {VERSION}")
        self._database.execute("COMMIT")
        sync_folder(self.path.parent)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _explain(self, error: sqlite3.Error) -> ScanFileError:
        code = getattr(error, "sqlite_errorcode", 0)
        primary = code & 0xFF
        if code == sqlite3.SQLITE_READONLY_DBMOVED:
            return ScanFileChangedError(f"{self.path} was removed or replaced while it was in use")
        if primary == sqlite3.SQLITE_CORRUPT:
            return self.damaged(error)
        if primary == sqlite3.SQLITE_NOTADB:
            return ScanFileError(_what_it_is(self.path))
        if code in _LOCK_ERRORS:
            return ScanFileError(f"{self.path}: {_NO_LOCKS}")
        access = (
            f" or its folder cannot be {'written to' if self.is_writable else 'read'} ({error})"
        )
        denied = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
        words = dict.fromkeys(denied, access) | {
            sqlite3.SQLITE_FULL: f": the disk is full; {_SAFE}: make room",
            sqlite3.SQLITE_IOERR: f": {error}; {_SAFE}: make room or see to the disk",
            sqlite3.SQLITE_BUSY: " is locked by another program: try again later",
        }
        return ScanFileError(f"{self.path}{words.get(primary, f': {error}')}")

    def damaged(self, error: Exception) -> ScanFileError:
        """Return the error for content that no program of this kind has written."""
        return ScanFileError(
            f"{self.path} is damaged ({error}): restore a copy, or save what can be read with "
            f"sqlite3 {self.path} .recover, or scan again into another file"
        )

    # --- statements -------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection inside a transaction that is on the disk when the block ends."""
        if not self.is_writable:
            raise ScanFileError(f"{self.path} is open for reading only")
        with self.lock, self._reported():
            if self._database.in_transaction:
                yield self._database
                return
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # it may have been rolled back already
                    self._database.execute("ROLLBACK")
                raise

    def select(self, statement: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """Return what a statement selects."""
        with self.lock, self._reported():
            return self._database.execute(statement, values).fetchall()

    def stream(self, statement: str, values: Values = ()) -> Iterator[tuple[Any, ...]]:
        """Yield what a statement selects, from one state of the file, in little memory."""
        return itertools.chain.from_iterable(self.blocks(statement, values))

    def blocks(self, statement: str, values: Values = ()) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the same, a thousand records at a time."""
        with self._reported():
            cursor = self._database.execute(statement, values)
            while records := cursor.fetchmany(_ROWS_AT_A_TIME):
                yield records

    def execute(self, statement: str, values: Values = ()) -> None:
        """Run a statement on temporary tables or attached files, outside a transaction."""
        with self.lock, self._reported():
            self._database.execute(statement, values)

    def setting(self, name: str) -> str | None:
        """Return what the file remembers under a name, or None."""
        found = self.select("SELECT value FROM setting WHERE name = ?", (name,))
        return found[0][0] if found else None

    def set_setting(self, name: str, value: str) -> None:
        """Remember a value under a name."""
        with self.transaction() as database:
            database.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))

    def set_listing_column(self, name: str) -> None:
        """Tell listings apart by this column from now on."""
        if self.listing_column != name and len(self):
            raise ScanFileError(
                f"{self.path}: its listings are told apart by {self.listing_column or 'their ID'}, "
                f"not by the column {name!r}: name another --output"
            )
        self.set_setting("listing_column", name)
        self.listing_column = name

    def forget_unused_column(self) -> bool:
        """Forget the column of listings, and return True, if no image has a value in it."""
        if self.select("SELECT 1 FROM image WHERE listing IS NOT NULL LIMIT 1"):
            return False
        with self.transaction() as database:
            database.execute("DELETE FROM setting WHERE name = 'listing_column'")
        self.listing_column = None
        return True

    def use_outcomes_of(self, path: Path) -> None:
        """Have the views tell what was said in another file of outcomes."""
        with self.lock, self._reported():
            self._database.execute("ATTACH ? AS team", (f"{path.absolute().as_uri()}?mode=ro",))
            self._database.execute("CREATE TEMP VIEW outcome AS SELECT * FROM team.outcome")
            for name in ("standing", "verdict", "queue"):
                ((text,),) = self._database.execute(
                    "SELECT sql FROM main.sqlite_schema WHERE name = ?", (name,)
                ).fetchall()
                self._database.execute(text.replace("CREATE VIEW", "CREATE TEMP VIEW", 1))

    @contextmanager
    def attached(self, other: ScanFile) -> Iterator[None]:
        """Have another scan's file as ``other`` in statements, for reading."""
        uri = other._uri.replace("?mode=rw", "?mode=ro")
        with self.lock, self._reported():
            self._database.execute("ATTACH ? AS other", (uri,))
            try:
                yield
            finally:
                self._database.execute("DETACH other")

    # --- rows -------------------------------------------------------------------------------------

    def name_of(self, row: Row) -> str:
        """Return the identity of the listing of a row, or of an image without one."""
        return as_name(listing_of(row.item, self.listing_column) or row.source)

    def __len__(self) -> int:
        ((count,),) = self.select("SELECT count(*) FROM image")
        return int(count)

    def rows(self, condition: str = "1", values: Sequence[Any] = ()) -> Iterator[Row]:
        """Yield rows that meet an SQL condition on ``image``, in the order of their first scan."""
        for _, row in self.numbered_rows(condition, values):
            yield row

    def numbered_rows(
        self,
        condition: str = "1",
        values: Sequence[Any] | Mapping[str, Any] = (),
        order: str = "image.id",
    ) -> Iterator[tuple[int, Row]]:
        """Yield rows with their ``image.id``; see :meth:`rows`."""
        for record in self.stream(f"{SELECT_ROW} WHERE {condition} ORDER BY {order}", values):
            try:
                row = read_row(*record[1:])
            except DAMAGES as error:
                raise self.damaged(error) from error
            yield record[0], row

    def thumbnail(self, image: int) -> Thumbnail | None:
        """Return the thumbnail of an image, or None."""
        found = self.select(
            "SELECT jpeg, width, height, frame FROM thumbnail WHERE image = ?"
            " AND typeof(jpeg) = 'blob' AND length(jpeg) <= ?",
            (image, _MAX_THUMBNAIL_BYTES),
        )
        return Thumbnail(*found[0]) if found else None


# --- opening --------------------------------------------------------------------------------------


def _require_place(path: Path, *, create: bool) -> None:
    """Check that a regular file is in this place, or can be put there."""
    try:
        if not path.exists():
            if not create:
                raise ScanFileError(f"{path} does not exist")
            check_place(path)
        elif not path.is_file():
            raise ScanFileError(f"{path} is not a regular file")
    except OSError as error:
        raise ScanFileError(f"{path}: {error.strerror or error}") from error


_open_here: Counter[str] = Counter()  # how often by real path


def is_open_here(path: str) -> bool:
    """Whether a path leads to a file of an open scan, or its log.

    Another descriptor of it must not be opened in this process: POSIX ends all locks that a process
    has on a file, those of SQLite too, when it closes any.
    """
    suffixes = ("", "-wal", "-shm")
    is_open = {real + suffix for real, count in _open_here.items() if count for suffix in suffixes}
    is_named_so = os.path.basename(path) in map(os.path.basename, is_open)
    return is_named_so and os.path.realpath(path) in is_open


def _what_it_is(path: Path) -> str:
    """Say what a file is that SQLite cannot read."""
    with suppress(OSError), path.open("rb") as file:
        if file.read(10) == b'{"source":':
            return (
                f"{path} is the journal of an earlier version. Scan again into a file: recognizer "
                "scan ... --output scan.sqlite; JSON Lines are then written by: recognizer rows "
                "scan.sqlite --output rows.jsonl"
            )
    return f"{path} exists and is not the file of a scan or of outcomes"


def _open(uri: str) -> tuple[sqlite3.Connection, str]:
    database = sqlite3.connect(
        uri, timeout=_BUSY_SECONDS, check_same_thread=False, uri=True, isolation_level=None
    )
    try:
        database.execute("SELECT 1 FROM sqlite_schema").fetchone()
    except BaseException:
        database.close()
        raise
    return database, uri
