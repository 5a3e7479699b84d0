"""SQLite files, made, checked and reported in one way, and a set that outgrows no memory."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from recognizer._closing import Closes
from recognizer.errors import RecognizerError, ScanFileError

_BUSY_SECONDS = 60.0  # to wait while another process writes
_CACHE_KIBIBYTES = 4096


class Store(Closes):
    """A file of one kind, which a crash leaves intact; made if ``create`` is set, else only read.

    Its application id says what it is, its version how to read it. Every method raises ``ERROR``.
    """

    APPLICATION_ID: ClassVar[int]
    VERSION: ClassVar[int] = 1
    KIND: ClassVar[str]  # what it is, in words
    TABLES: ClassVar[str]  # the statements that make its tables
    ADVICE: ClassVar[str]  # what to do if it cannot be used
    ERROR: ClassVar[type[RecognizerError]]

    def __init__(self, path: str | os.PathLike[str], *, create: bool) -> None:
        self.path = Path(path)
        uri = f"{self.path.absolute().as_uri()}?mode={'rwc' if create else 'ro'}"
        with self._reported():
            self._database = sqlite3.connect(
                uri, timeout=_BUSY_SECONDS, check_same_thread=False, uri=True
            )
            try:
                self._check(create=create)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    def _check(self, *, create: bool) -> None:
        # In this order: another process may be making the very same file, all of it at once.
        (tables,) = self._database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        (application,) = self._database.execute("PRAGMA application_id").fetchone()
        if create and not application and not tables:
            self._database.executescript(
                f"BEGIN IMMEDIATE; PRAGMA application_id = {self.APPLICATION_ID};"
                f"PRAGMA user_version = {self.VERSION}; {self.TABLES}; COMMIT;"
            )
            return
        if application != self.APPLICATION_ID:
            raise self.ERROR(f"{self.path} is not a {self.KIND}; {self.ADVICE}")
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version != self.VERSION:
            raise self.ERROR(
                f"{self.path} is a {self.KIND} of version {version}; this program reads version "
                f"{self.VERSION}; {self.ADVICE}"
            )

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Turn errors of SQLite into ``ERROR``."""
        try:
            yield
        except sqlite3.Error as error:
            raise self.ERROR(
                f"{self.path} cannot be used as a {self.KIND}: {error}; {self.ADVICE}"
            ) from error


class KeySet(Closes):
    """A set of signed 64-bit keys in a temporary file without a name, with a small page cache."""

    def __init__(self) -> None:
        # One thread at a time, but not always the one that made it.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(
            f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}; PRAGMA journal_mode = OFF;"
            "CREATE TABLE keys (key INTEGER PRIMARY KEY); BEGIN;"
        )

    def close(self) -> None:
        """Remove the file."""
        self._database.close()

    def add(self, key: int) -> bool:
        """Add a key, and return whether it is a new one."""
        try:
            statement = "INSERT OR IGNORE INTO keys VALUES (?)"
            return self._database.execute(statement, (key,)).rowcount > 0
        except sqlite3.Error as error:
            raise ScanFileError(
                f"a table in the system's temporary folder: {error}; make room there (or name "
                "another folder in TMPDIR) and give the same command again"
            ) from error
