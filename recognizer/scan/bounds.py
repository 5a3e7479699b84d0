"""A set of keys on the disk, for the images that a scan has seen."""

import sqlite3

from recognizer._files import Closes
from recognizer.errors import ScanFileError

_CACHE_KIBIBYTES = 4096


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
        self._database.close()

    def __contains__(self, key: object) -> bool:
        return bool(self._database.execute("SELECT 1 FROM keys WHERE key = ?", (key,)).fetchone())

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
