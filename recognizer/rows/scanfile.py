"""The file of a scan: one SQLite database, written by one scan and read by whoever wants to.

``schema.sql`` is its contract. Each batch of rows is one transaction in write-ahead mode with an
fsync, with the entries of the queue. A team's file of outcomes is a file of the same kind.
"""

from __future__ import annotations

import os
import re
import sqlite3
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from recognizer._sqlite import FileKind, SqliteFile, statements
from recognizer.errors import (
    PolicyError,
    RecognizerError,
    ScanFileChangedError,
    ScanFileError,
    UsageError,
)
from recognizer.imaging.thumbnail import Thumbnail
from recognizer.listing import listing_of
from recognizer.model.description import ModelReference
from recognizer.policy.values import Decision, Policy, parse_policy, policy_toml
from recognizer.rows.identity import as_name
from recognizer.rows.queue import SCHEMA_VALUES, refresh_entries
from recognizer.rows.records import SELECT_ROW, read_row
from recognizer.rows.row import Reference, Row
from recognizer.taxonomy import Taxonomy, load_taxonomy

_CACHE_KIBIBYTES = 32 << 10
_LOG_PAGES = 4000  # of the write-ahead log, before they are copied into the file
_MAX_THUMBNAIL_BYTES = 256 << 10  # no scan writes a larger thumbnail
DAMAGES = (ValueError, TypeError, msgspec.MsgspecError, RecursionError)  # of text that is not a row


def _schema() -> str:
    text = resources.files("recognizer.rows").joinpath("schema.sql").read_text("utf-8")
    return text.format_map(SCHEMA_VALUES)


def _without_gone(database: sqlite3.Connection) -> None:
    """Migrate version 3, in which images that a scan did not meet left the queue."""
    views = database.execute("SELECT name FROM sqlite_schema WHERE type = 'view'").fetchall()
    for (view,) in views:
        database.execute(f"DROP VIEW {view}")
    hidden = database.execute(
        "SELECT unit, iif(audit IS NULL, NULL, sha256) FROM image WHERE gone IS NOT NULL"
    ).fetchall()
    for column in ("gone", "parent"):
        database.execute(f"ALTER TABLE image DROP COLUMN {column}")
    for statement in statements(_schema()):
        if re.search(r"CREATE (VIEW|TABLE seen)\b", statement):
            database.execute(statement)
    audited = (sha256 for _, sha256 in hidden if sha256 is not None)
    refresh_entries(database, (unit for unit, _ in hidden), audited)


class ScanFile(SqliteFile):
    """A scan's file, open for reading, or with ``write`` for outcomes, decisions and merging too.

    All methods raise a ScanFileError if it cannot be used.
    """

    kind = FileKind(
        name="the file of a scan or of outcomes",
        application_id=0x574C5343,  # "WLSC"
        version=4,
        schema=_schema,
        steps=(_without_gone,),
        error=ScanFileError,
        advice="name another file, or scan again into one",
    )

    def _check(self, *, create: bool) -> None:
        _opened_here.add(os.path.realpath(self._place))
        super()._check(create=create)
        self.listing_column = self.setting("listing_column")

    def _prepare(self) -> None:
        self._use_log()
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")

    def _explain(self, error: Exception) -> RecognizerError:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY_DBMOVED:
            return ScanFileChangedError(f"{self.path} was removed or replaced while it was in use")
        return super()._explain(error)

    def setting(self, name: str) -> str | None:
        """Return what the file remembers under a name, or None."""
        records = self.select("SELECT value FROM setting WHERE name = ?", (name,))
        return records[0][0] if records else None

    def set_setting(self, name: str, value: str) -> None:
        """Remember a value under a name."""
        with self.transaction() as database:
            database.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))

    def set_listing_column(self, name: str) -> None:
        """Tell listings apart by this column from now on."""
        if self.listing_column != name and len(self):
            words = f"its listings are identified by {self.listing_column or 'their ID'}, not by"
            raise ScanFileError(f"{self.path}: {words} {name!r}: name another --output")
        self.set_setting("listing_column", name)
        self.listing_column = name

    def use_policy(self, policy: Policy) -> None:
        """Set the policy that decides, which the file keeps for later scans and reviews."""
        with self.transaction() as database:
            database.execute(
                "INSERT INTO policy (name, digest, toml) VALUES (?, ?, ?)"
                " ON CONFLICT (name, digest) DO UPDATE SET toml = excluded.toml",
                (policy.name, policy.digest, policy_toml(policy)),
            )
            self.set_setting("policy", policy.digest)

    def policy(self, taxonomy: Taxonomy | None = None) -> Policy | None:
        """Return the policy that decides, or None if nothing was decided yet.

        If rows were merged without their policy, that is a UsageError. ``taxonomy`` is that of the
        bundle.
        """
        for name, text in self.select(
            "SELECT name, toml FROM policy"
            " WHERE digest = (SELECT value FROM setting WHERE name = 'policy')"
            " OR (NOT EXISTS (SELECT 1 FROM setting WHERE name = 'policy')"
            " AND id IN (SELECT DISTINCT policy FROM image)) ORDER BY toml IS NULL LIMIT 1"
        ):
            if text is None:
                advice = "of which it keeps no copy: name it with --policy, or --policy default"
                raise UsageError(f"{self.path} was decided by the policy {name!r}, {advice}")
            try:
                return parse_policy(tomllib.loads(text), "policy", taxonomy or load_taxonomy())
            except tomllib.TOMLDecodeError as error:
                raise self.damaged(error) from error
            except PolicyError as error:
                words = f"its policy {name!r} is not for this model ({error})"
                raise UsageError(f"{self.path}: {words}: name another with --policy") from error
        return None

    def actions(self) -> dict[tuple[Reference, Decision], str]:
        """Return what the policies of the rows say to do at a decision, of those that are kept."""
        kept = self.select("SELECT name, digest, toml FROM policy WHERE toml IS NOT NULL")
        return {
            (Reference(name=name, digest=digest), Decision(decision)): action
            for name, digest, text in kept
            for decision, action in tomllib.loads(text).get("actions", {}).items()
        }

    def use_outcomes_of(self, path: Path) -> None:
        """Make the views read the outcomes of another file."""
        ScanFile(path).close()  # checked: a scan's file, of the present version
        with self.lock, self._reported():
            self._database.execute("ATTACH ? AS team", (f"{path.absolute().as_uri()}?mode=ro",))
            self._database.execute("CREATE TEMP VIEW outcome AS SELECT * FROM team.outcome")
            for statement in statements(_schema()):
                if view := re.search(r"CREATE VIEW (standing|verdict|queue)\b", statement):
                    self._database.execute(f"CREATE TEMP VIEW {statement[view.start(1) :]}")

    def name_of(self, row: Row) -> str:
        """Return the identity of the listing of a row, or of an image without a listing."""
        return as_name(listing_of(row.item, self.listing_column) or row.source)

    def __len__(self) -> int:
        return int(self.select("SELECT count(*) FROM image")[0][0])

    def models(self) -> list[tuple[int, ModelReference]]:
        """Return the models that made rows, with their numbers."""
        made = "SELECT * FROM model WHERE EXISTS (SELECT 1 FROM image WHERE model = model.id)"
        return [(number, ModelReference(*model)) for number, *model in self.select(made)]

    def rows(self, condition: str = "1", values: Sequence[Any] = ()) -> Iterator[Row]:
        """Yield rows that meet an SQL condition on ``image``, in the order of their first scan."""
        return (row for _, row in self.numbered_rows(condition, values))

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
        records = self.select(
            "SELECT jpeg, width, height, frame FROM thumbnail WHERE image = ?"
            " AND typeof(jpeg) = 'blob' AND length(jpeg) <= ?",
            (image, _MAX_THUMBNAIL_BYTES),
        )
        return Thumbnail(*records[0]) if records else None

    def thumbnail_of(self, row: Row) -> Thumbnail | None:
        """Return a thumbnail of the bytes of a row, or None."""
        images = self.select("SELECT id FROM image WHERE sha256 = ?", (row.sha256,))
        return next(filter(None, (self.thumbnail(image) for (image,) in images)), None)


_opened_here: set[str] = set()  # by real path


def was_opened_here(path: str) -> bool:
    """Whether a path leads to a file of a scan that was opened in this process, or to its log.

    Another descriptor of it must not be opened here: POSIX ends all locks that a process has on a
    file, those of SQLite too, when it closes any.
    """
    return re.sub("-(wal|shm)$", "", os.path.realpath(path)) in _opened_here
