"""A bank: the known items of an organisation, in one file.

It is an SQLite database, so that several people may add to it at once, each addition is there
whole or not at all, and millions of items need no memory. A bank only grows, and holds each item
once: banks can be merged in any order, as often as one likes.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recognizer._closing import Closes
from recognizer.errors import BankError
from recognizer.known.hashes import HASH_BYTES
from recognizer.known.items import KnownItem

_APPLICATION_ID = 0x574C4B49
_SCHEMA = 1
_PATIENCE = 60.0  # seconds, while somebody else writes
_INSERT = "INSERT OR IGNORE INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_ALL = "SELECT * FROM items ORDER BY time, id"
_OF_HASH = "SELECT * FROM items WHERE pdq = ? ORDER BY id"
_TABLE = f"""
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_SCHEMA};
CREATE TABLE IF NOT EXISTS items (
  id TEXT PRIMARY KEY, pdq BLOB NOT NULL, finding TEXT NOT NULL, time TEXT NOT NULL,
  label TEXT, note TEXT, "by" TEXT, origin TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_of_hash ON items (pdq);
"""


class Bank(Closes):
    """An open bank.

    Args:
        path: its file.
        create: make it where there is none, and open it for additions; else it is only read.

    Attributes:
        path: see above.

    Raises:
        BankError: there is no such file, or it is no bank; likewise from the methods.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = False) -> None:
        self.path = Path(path)
        with self._told():
            if not create and not self.path.is_file():
                raise BankError(
                    f"{self.path}: there is no such bank; recognizer bank add makes one"
                )
            mode = "rwc" if create else "ro"
            uri = f"{self.path.absolute().as_uri()}?mode={mode}"
            self._database = sqlite3.connect(uri, timeout=_PATIENCE, uri=True)
            try:
                self._check(create)
            except BaseException:
                self._database.close()
                raise

    def _check(self, create: bool) -> None:
        # In this order: another process may be making the very same bank, all of it at once.
        (tables,) = self._database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        (application,) = self._database.execute("PRAGMA application_id").fetchone()
        if create and not application and not tables:
            self._database.executescript(f"BEGIN IMMEDIATE; {_TABLE} COMMIT;")
            return
        if application != _APPLICATION_ID:
            raise BankError(f"{self.path} is no bank")
        (schema,) = self._database.execute("PRAGMA user_version").fetchone()
        if schema != _SCHEMA:
            raise BankError(
                f"{self.path} is a bank of version {schema}; this program reads version {_SCHEMA}"
            )

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    def __len__(self) -> int:
        with self._told():
            (count,) = self._database.execute("SELECT count(*) FROM items").fetchone()
        return int(count)

    def __iter__(self) -> Iterator[KnownItem]:
        """Go through the items, the oldest first."""
        yield from self._select(_ALL)

    def add(self, items: Iterable[KnownItem]) -> int:
        """Add items, all or none of them.

        Returns:
            How many of them were new.
        """
        with self._told(), self._database:
            before = self._database.total_changes
            self._database.executemany(
                _INSERT,
                (
                    (i.id, bytes.fromhex(i.pdq), i.finding, i.time, i.label, i.note, i.by, i.origin)
                    for i in items
                ),
            )
            return self._database.total_changes - before

    def of_hash(self, pdq: bytes) -> list[KnownItem]:
        """Return all items with one hash, in the order of their ids."""
        return list(self._select(_OF_HASH, pdq))

    def hashes(self) -> NDArray[np.uint8]:
        """Return the distinct hashes, in their order, as uint8 (n, 32)."""
        with self._told():
            distinct = self._database.execute("SELECT DISTINCT pdq FROM items ORDER BY pdq")
            joined = bytearray()
            for (pdq,) in distinct:
                joined += pdq
        return np.frombuffer(bytes(joined), np.uint8).reshape(-1, HASH_BYTES)

    @property
    def digest(self) -> str:
        """A sha256 over what it holds, hexadecimal: equal banks match equally."""
        digest = hashlib.sha256()
        with self._told():
            for (id_,) in self._database.execute("SELECT id FROM items ORDER BY id"):
                digest.update(bytes.fromhex(id_))
        return digest.hexdigest()

    def copy_to(self, path: Path) -> None:
        """Write what it holds now to a new file, which no later addition changes."""
        with self._told(), closing(sqlite3.connect(path)) as target:
            self._database.backup(target)

    def _select(self, statement: str, *values: bytes) -> Iterator[KnownItem]:
        with self._told():
            for _, pdq, *rest in self._database.execute(statement, values):
                yield KnownItem(pdq.hex(), *rest)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell in words what SQLite has to say."""
        try:
            yield
        except sqlite3.Error as error:
            raise BankError(f"{self.path} cannot be used as a bank: {error}") from error
