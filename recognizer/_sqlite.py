"""SQLite as this package uses it: files that are made, checked and reported in one way.

A store is a file that a crash leaves whole. Its application id tells whose it is, its version how
to read it. A temporary store is a file without a name: it outgrows no memory, and it is gone with
its process.
"""

from __future__ import annotations

import os
import sqlite3
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from recognizer._closing import Closes
from recognizer.errors import RecognizerError, ScanFileError

_BUSY_SECONDS = 60.0  # to wait while another process writes
_CACHE_KIBIBYTES = 4096


class _Database(Closes):
    """A connection whose errors become errors of this package."""

    _database: sqlite3.Connection

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explain(error) from error

    @abstractmethod
    def _explain(self, error: sqlite3.Error) -> RecognizerError:
        """Return the error that says what happened and what to do."""


class Store(_Database):
    """A file of one kind, made where ``create`` is set; every method raises errors of one class."""

    APPLICATION_ID: ClassVar[int]
    VERSION: ClassVar[int] = 1
    KIND: ClassVar[str]  # what it is, in words
    TABLES: ClassVar[str]  # the statements that make its tables, where they do not exist
    ADVICE: ClassVar[str]  # what to do where it cannot be used
    ERROR: ClassVar[type[RecognizerError]] = ScanFileError

    def __init__(self, path: str | os.PathLike[str], *, create: bool) -> None:
        self.path = Path(path)
        with self._reported():
            self._database = self._open(create=create)

    def _open(self, *, create: bool) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?mode={'rwc' if create else 'ro'}"
        database = sqlite3.connect(uri, timeout=_BUSY_SECONDS, check_same_thread=False, uri=True)
        try:
            self._check(database, create=create)
        except BaseException:
            database.close()
            raise
        return database

    def _check(self, database: sqlite3.Connection, *, create: bool) -> None:
        # In this order: another process may be making the very same file, all of it at once.
        (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        (application,) = database.execute("PRAGMA application_id").fetchone()
        if create and not application and not tables:
            database.executescript(
                f"BEGIN IMMEDIATE; PRAGMA application_id = {self.APPLICATION_ID};"
                f"PRAGMA user_version = {self.VERSION}; {self.TABLES}; COMMIT;"
            )
            return
        if application != self.APPLICATION_ID:
            raise self.ERROR(f"{self.path} is not a {self.KIND}; {self.ADVICE}")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version != self.VERSION:
            raise self.ERROR(
                f"{self.path} is a {self.KIND} of version {version}; this program reads version "
                f"{self.VERSION}; {self.ADVICE}"
            )

    def _write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows, all or none of them; a file that was deleted meanwhile is made again."""
        with self._reported():
            try:
                self._execute(statement, rows)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_DBMOVED:
                    raise
                self._database.close()
                self._database = self._open(create=True)
                self._execute(statement, rows)

    def _execute(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        with self._database:
            self._database.executemany(statement, rows)

    def copy_to(self, path: Path) -> None:
        """Write a copy, as it is now, to a new file."""
        with self._reported(), closing(sqlite3.connect(path)) as target:
            self._database.backup(target)

    def _explain(self, error: sqlite3.Error) -> RecognizerError:
        return self.ERROR(f"{self.path} cannot be used as a {self.KIND}: {error}; {self.ADVICE}")


class TemporaryStore(_Database):
    """Tables in a temporary file, with a page cache of a fixed size."""

    def __init__(self, tables: str) -> None:
        # One thread at a time, but not always the one that made it.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(
            f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}; PRAGMA journal_mode = OFF; {tables}; BEGIN;"
        )

    def _explain(self, error: sqlite3.Error) -> RecognizerError:
        return ScanFileError(
            f"a table in the system's temporary folder: {error}; make room there (or name another "
            "folder in TMPDIR) and give the same command again"
        )


class KeySet(TemporaryStore):
    """A set of signed 64-bit keys, which may outgrow the memory."""

    def __init__(self) -> None:
        super().__init__("CREATE TABLE keys (key INTEGER PRIMARY KEY)")

    def add(self, key: int) -> bool:
        """Add a key, and return whether it is a new one."""
        with self._reported():
            statement = "INSERT OR IGNORE INTO keys VALUES (?)"
            return self._database.execute(statement, (key,)).rowcount > 0
