"""What a scan remembers of its items, in memory that does not grow with their number.

Tables in temporary files of SQLite: nothing of them outlives the scan, and a page cache of a fixed
size is all that they hold in memory. A lookup costs microseconds where an image costs
milliseconds.
"""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

from recognizer._closing import Closes
from recognizer.errors import JournalError

_CACHE_KIBIBYTES = 4096
_SIGN = 1 << 63  # keys are unsigned, SQLite's integers are not


class Last(NamedTuple):
    """An item's last row.

    Attributes:
        result: its :func:`recognizer.rows.journal.result_key`.
        offset: where it stands, in bytes from the beginning of the journal.
    """

    result: bytes
    offset: int


class _Table(Closes):
    """A table whose key is a 64-bit integer, in a file without a name."""

    def __init__(self, columns: str) -> None:
        # One thread at a time, but not always the one that made it.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(
            f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}; PRAGMA journal_mode = OFF;"
            f"CREATE TABLE items (key INTEGER PRIMARY KEY {columns}); BEGIN;"
        )

    def close(self) -> None:
        """Forget everything."""
        self._database.close()

    def _run(self, statement: str, key: int, *values: Any) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, (key - _SIGN, *values))
        except sqlite3.Error as error:
            raise JournalError(
                f"the table of what is done, in the system's temporary folder: {error}; make room "
                "there (or name another place by TMPDIR) and give the same command again"
            ) from error


class Index(_Table):
    """Key of an item (unsigned, 64 bits) -> its :class:`Last` row."""

    def __init__(self) -> None:
        super().__init__(", result BLOB, offset INTEGER")

    def get(self, key: int) -> Last | None:
        """Return what is known of a key, None where nothing is."""
        row = self._run("SELECT result, offset FROM items WHERE key = ?", key).fetchone()
        return None if row is None else Last(*row)

    def put(self, key: int, last: Last) -> None:
        """Remember an item's last row, in place of an earlier one."""
        self._run("INSERT OR REPLACE INTO items VALUES (?, ?, ?)", key, *last)


class KeySet(_Table):
    """A set of keys (unsigned, 64 bits)."""

    def __init__(self) -> None:
        super().__init__("")

    def add(self, key: int) -> bool:
        """Add a key, and return whether it is a new one."""
        return self._run("INSERT OR IGNORE INTO items VALUES (?)", key).rowcount > 0


class Newest(_Table):
    """Key of an item (unsigned, 64 bits) -> the journal whose row of it is the latest."""

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

    def journal(self, key: int) -> int:
        """Return the number of the journal, as it was offered.

        Raises:
            KeyError: no row was offered.
        """
        row = self._run("SELECT journal FROM items WHERE key = ?", key).fetchone()
        if row is None:
            raise KeyError(key)
        return int(row[0])
