"""Bounds on archives and tables, and how far one has been read."""

import io
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, BinaryIO

from recognizer._files import Closes
from recognizer.errors import ScanFileError, UsageError
from recognizer.imaging.sources import Refused
from recognizer.status import Reason

MAX_NAME = 4096  # characters of the name of a member, and of a path or URL in a table

MAX_COLUMNS = 4096  # of a table

_FREE_BYTES = 256 << 20  # unpacked before the ratio counts: small archives of blank images are many
_CACHE_KIBIBYTES = 4096
_MAX_SHOWN = 100  # characters of a name in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Bounds of an archive or a table; beyond one, the rest is not read.

    Members are those of an archive, or images and rows of a table; the ratio, of unpacked to packed
    bytes, counts once 256 MiB are unpacked.
    """

    max_members: int = 10_000_000
    max_unpacked: int = 1 << 40
    max_ratio: int = 200

    def __post_init__(self) -> None:
        for field in fields(self):
            if (value := getattr(self, field.name)) < 1:
                raise UsageError(f"{field.name} = {value}: a number from 1")


class Reading:
    """Progress in a container; ``on_progress`` is called whenever something was read."""

    def __init__(self, bounds: Bounds, on_progress: Callable[[], None] = lambda: None) -> None:
        self.bounds = bounds
        self.count = 0
        self.unpacked = 0
        self._last = ""
        self._on_progress = on_progress

    @property
    def rest(self) -> str:
        """Return the part that was not read, as the end of a sentence."""
        return f"nothing after {self._last} was read" if self._last else "nothing of it was read"

    def begin(self) -> int:
        """Count a member, a row or an image, and return its number."""
        self.count += 1
        if self.count > self.bounds.max_members:
            detail = f"more than {self.bounds.max_members} members or rows (max_members)"
            raise Refused(Reason.CORRUPT_CONTAINER, detail)
        self._on_progress()
        return self.count

    def passed(self, what: str, name: str | None = None) -> None:
        self._last = what if name is None else f"{what}, {name[:_MAX_SHOWN]!r},"

    def unpack(self, count: int, packed: int | None = None) -> None:
        """Count unpacked bytes; ``packed``: from how many bytes all until now were unpacked."""
        self.unpacked += count
        if self.unpacked > self.bounds.max_unpacked:
            limit = f"more than {self.bounds.max_unpacked} (max_unpacked)"
        elif packed is None or self.unpacked <= max(_FREE_BYTES, self.bounds.max_ratio * packed):
            self._on_progress()
            return
        else:
            limit = f"more than {self.bounds.max_ratio} times as many (max_ratio)"
        of = "" if packed is None else f"{packed} bytes unpack to "
        raise Refused(Reason.TOO_MANY_BYTES, f"{of}{self.unpacked} bytes, {limit}")


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


class Unpacked(io.RawIOBase):
    """A stream of bytes, perhaps unpacked ones, that keeps to the bounds of its container."""

    def __init__(self, stream: BinaryIO, packed: BinaryIO | None, progress: Reading) -> None:
        self._stream = stream
        self._packed = packed
        self._progress = progress

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        data = self._stream.read(len(view))
        self._progress.unpack(len(data), None if self._packed is None else self._packed.tell())
        view[: len(data)] = data
        return len(data)
