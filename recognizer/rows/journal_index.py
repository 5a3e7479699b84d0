"""Tables with one entry for each item, in memory that does not grow with their number.

Their keys are unsigned 64-bit integers (:func:`recognizer.rows.row.item_key`). A lookup costs
microseconds where an image costs milliseconds.
"""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

from recognizer._sqlite import TemporaryStore

_SIGN = 1 << 63  # SQLite's integers are signed


class Last(NamedTuple):
    """An item's last row.

    Attributes:
        result: its :func:`recognizer.rows.journal.result_key`.
        offset: where its line begins, in bytes from the beginning of the journal.
    """

    result: bytes
    offset: int


class _Table(TemporaryStore):
    """A table of items."""

    def __init__(self, columns: str = "") -> None:
        super().__init__(f"CREATE TABLE items (key INTEGER PRIMARY KEY{columns})")

    def _run(self, statement: str, key: int, *values: Any) -> sqlite3.Cursor:
        with self._reported():
            return self._database.execute(statement, (key - _SIGN, *values))


class Index(_Table):
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


class KeySet(_Table):
    """A set of keys."""

    def add(self, key: int) -> bool:
        """Add a key, and return whether it is a new one."""
        return self._run("INSERT OR IGNORE INTO items VALUES (?)", key).rowcount > 0


class Newest(_Table):
    """Map an item's key to the number of the journal that has its latest row."""

    def __init__(self) -> None:
        super().__init__(", time INTEGER, journal INTEGER")

    def offer(self, key: int, time: int, journal: int) -> None:
        """Take note of a row; of two that are equally late, the one that is offered last counts."""
        self._run(
            "INSERT INTO items VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
            " time = excluded.time, journal = excluded.journal WHERE excluded.time >= time",
            key,
            time,
            journal,
        )

    def journal(self, key: int) -> int | None:
        """Return the number of the journal, as it was offered; None where no row was."""
        row = self._run("SELECT journal FROM items WHERE key = ?", key).fetchone()
        return None if row is None else int(row[0])
