"""One way into SQLite: whose file it is, its version, migration by steps, errors in words."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from recognizer._files import Closes, check_place, sync_folder
from recognizer.errors import RecognizerError

Values: TypeAlias = Sequence[Any] | Mapping[str, Any]  # of the parameters of a statement

_BUSY_SECONDS = 60.0  # to wait while another process writes
_ROWS_AT_A_TIME = 1000
_NO_LOCKS = "no locks or shared memory, as on some network drives: name an --output on a local disk"
_LOCK_ERRORS = (
    *(sqlite3.SQLITE_IOERR_LOCK, sqlite3.SQLITE_IOERR_SHMLOCK, sqlite3.SQLITE_IOERR_SHMMAP),
    *(sqlite3.SQLITE_IOERR_SHMOPEN, sqlite3.SQLITE_PROTOCOL),
)
_SAFE = "what was written so far is safe, and the same command goes on"


@dataclass(frozen=True, kw_only=True)
class FileKind:
    """A kind of SQLite file, by the application id that stands in its header; messages name it.

    ``schema`` returns the script that makes the tables and views of ``version``. Each of ``steps``
    migrates the tables from a version to the next, the last of them to ``version``.
    """

    name: str = "a file of this program"
    application_id: int
    version: int
    schema: Callable[[], str]
    error: type[RecognizerError]
    advice: str
    steps: tuple[Callable[[sqlite3.Connection], object], ...] = ()


def statements(script: str) -> Iterator[str]:
    """Yield the statements of a script, for a transaction: ``executescript`` would commit it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def columns_of(database: sqlite3.Connection, table: str, *without: str) -> list[str]:
    """Return the columns of a table in their order, without computed columns and those named."""
    names = [name for _, name, *_ in database.execute(f"PRAGMA main.table_info({table})")]
    return [name for name in names if name not in without]


class SqliteFile(Closes):
    """An open file of one :class:`FileKind`, whose error all methods raise.

    It is only read unless ``write`` or ``create`` is set, which also migrate an older file.
    ``place`` is where it lies until it is moved to ``path``, which errors name.
    """

    kind: FileKind

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        write: bool = False,
        create: bool = False,
        place: Path | None = None,
    ) -> None:
        self.path = Path(path)
        self._place = place or self.path
        self.lock = threading.RLock()
        self.is_writable = write or create
        self._require_place(create=create)
        with self._reported():
            self._database = self._connect(create=create)
            try:
                self._check(create=create)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Release the file."""
        with suppress(sqlite3.Error):  # nothing is left to be written
            self._database.close()

    def _require_place(self, *, create: bool) -> None:
        """Check that a regular file is in this place, or can be put there."""
        advice = f"; {self.kind.advice}"
        try:
            if not self._place.exists():
                if not create:
                    raise self.kind.error(f"{self.path} does not exist{advice}")
                check_place(self.path)
            elif not self._place.is_file():
                raise self.kind.error(f"{self.path} is not a regular file{advice}")
        except OSError as error:
            raise self.kind.error(f"{self.path}: {error.strerror or error}") from error

    def _connect(self, *, create: bool) -> sqlite3.Connection:
        """Open the file, by SQLite alone: to close it otherwise would end SQLite's locks on it."""
        uri = self._place.absolute().as_uri()
        has_place = all(os.access(path, os.W_OK) for path in (self._place, self._place.parent))
        if self.is_writable or has_place:
            # For reading, too: who closes it last takes the log away.
            return self._opened(f"{uri}?mode={'rwc' if create else 'rw'}")
        try:
            return self._opened(f"{uri}?mode=ro")
        except sqlite3.OperationalError:
            # A read-only disk has no place for the shared memory; without a log the file is whole.
            with suppress(OSError):
                if os.stat(f"{self._place}-wal").st_size:
                    raise
            return self._opened(f"{uri}?mode=ro&immutable=1")

    def _opened(self, uri: str) -> sqlite3.Connection:
        self.uri = uri
        database = sqlite3.connect(
            uri, timeout=_BUSY_SECONDS, check_same_thread=False, uri=True, isolation_level=None
        )
        try:
            database.execute("SELECT 1 FROM sqlite_schema").fetchone()
        except BaseException:
            database.close()
            raise
        return database

    def _check(self, *, create: bool) -> None:
        """Check whose file it is before anything is written to it; make its tables."""
        kind = self.kind
        application, version, tables = self._identity()
        if create and not application and not tables:
            self._prepare()
            self._make()
            return
        if application != kind.application_id:
            raise kind.error(f"{self.path} is not {kind.name}; {kind.advice}")
        is_older = 0 < kind.version - version <= len(kind.steps)
        if version != kind.version and not (is_older and self.is_writable):
            advice = "update this program" if version > kind.version else kind.advice
            advice = "a command that writes to it migrates it" if is_older else advice
            words = f"is of version {version}, this program reads version {kind.version}"
            raise kind.error(f"{self.path} {words}: {advice}")
        if self.is_writable:
            self._prepare()
        if is_older:
            self._migrate()

    def _identity(self) -> tuple[int, int, int]:
        """Return the application id, the version, and the number of tables, views and indices."""
        identity: tuple[int, int, int] = self._database.execute(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)"
            " FROM pragma_application_id, pragma_user_version"
        ).fetchone()
        return identity

    def _prepare(self) -> None:
        """Set how the file is written; nothing is in it yet if it is new."""

    def _use_log(self) -> None:
        """Write ahead into a log, so that others read meanwhile."""
        (mode,) = self._database.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise self.kind.error(f"{self.path}: {_NO_LOCKS}")

    def _make(self) -> None:
        with self._transaction() as database:
            if not self._identity()[2]:  # another process may have made it meanwhile
                for statement in statements(self.kind.schema()):
                    database.execute(statement)
                database.execute(f"PRAGMA application_id = {self.kind.application_id}")
                database.execute(f"PRAGMA user_version = {self.kind.version}")
        sync_folder(self.path.parent)

    def _migrate(self) -> None:
        """Run the steps that are missing, all or none."""
        with self._transaction() as database:
            missing = self.kind.version - self._identity()[1]  # another process may have been here
            for step in self.kind.steps[len(self.kind.steps) - missing :]:
                step(database)
            database.execute(f"PRAGMA user_version = {self.kind.version}")

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:  # a message may quote broken bytes
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> RecognizerError:
        code = getattr(error, "sqlite_errorcode", 0)
        primary = code & 0xFF
        if primary == sqlite3.SQLITE_CORRUPT or isinstance(error, UnicodeDecodeError):
            return self.damaged(error)
        if code in _LOCK_ERRORS:
            return self.kind.error(f"{self.path}: {_NO_LOCKS}")
        verb = "written to" if self.is_writable else "read"
        denied = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
        words = dict.fromkeys(denied, f" or its folder cannot be {verb} ({error})") | {
            sqlite3.SQLITE_NOTADB: f" exists and is not {self.kind.name}; {self.kind.advice}",
            sqlite3.SQLITE_FULL: f": the disk is full; {_SAFE}: make room",
            sqlite3.SQLITE_IOERR: f": {error}; {_SAFE}: make room or see to the disk",
            sqlite3.SQLITE_BUSY: " is locked by another program: try again later",
        }
        return self.kind.error(f"{self.path}{words.get(primary, f': {error}')}")

    def damaged(self, error: Exception) -> RecognizerError:
        """Return the error for content that no program of this kind has written."""
        advice = f"restore a copy, run sqlite3 {self.path} .recover, or {self.kind.advice}"
        return self.kind.error(f"{self.path} is damaged ({error}): {advice}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection inside a transaction that is on the disk when the block ends."""
        if not self.is_writable:
            raise self.kind.error(f"{self.path} is open for reading only")
        with self._transaction() as database:
            yield database

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
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
        with self.lock, self._reported():
            cursor = self._database.execute(statement, values)
        while True:
            with self.lock, self._reported():
                records = cursor.fetchmany(_ROWS_AT_A_TIME)
            if not records:
                return
            yield from records

    def execute(self, statement: str, values: Values = ()) -> None:
        """Run a statement on temporary tables or attached files, outside a transaction."""
        with self.lock, self._reported():
            self._database.execute(statement, values)
