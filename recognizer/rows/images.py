"""Writes images, and with them the entries of the queue, in one transaction."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recognizer.imaging.thumbnail import Thumbnail
from recognizer.model.description import ModelReference
from recognizer.rows.item_key import former_key
from recognizer.rows.queue import refresh_entries
from recognizer.rows.records import (
    UNSCORED_PLACE,
    Ranking,
    as_utc,
    changed_values,
    image_values,
    put_image,
)
from recognizer.rows.row import REPLACED, Reference, Row
from recognizer.rows.scanfile import ScanFile


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row to be written; by ``file_state`` its file is known to be unchanged.

    ``stored`` are columns of ``image`` that are known from another scan's file.
    """

    row: Row
    thumbnail: Thumbnail | None = None
    embedding: NDArray[np.int8] | None = None
    file_state: bytes | None = None
    stored: Mapping[str, Any] = field(default_factory=dict)


def put_rows(
    file: ScanFile, new: Iterable[NewRow], ranking: Ranking, *, only_later: bool = False
) -> None:
    """Write rows, each in the place of the last one of its image, all or none of them.

    With ``only_later``, in a merge, a row may be older than the one in its place. A scored row
    stays where nothing could be read later, and notes what was seen. One that other bytes replace
    stays as a row of its own if it is a lead, is in the audit sample, or has an outcome.
    """
    with file.transaction() as database:
        writer = _ImageWriter(database, ranking, file.listing_column, only_later)
        for one in new:
            writer.put(one)
        refresh_entries(database, writer.units, writer.audited)


class _Stored(NamedTuple):
    """The stored state of an image."""

    id: int
    place: int
    is_scored: bool
    is_audited: bool
    sha256: str | None
    reason: str | None
    first: str
    time: str


class _ImageWriter:
    """Writes images of one transaction, and collects the units whose entries change."""

    def __init__(
        self,
        database: sqlite3.Connection,
        ranking: Ranking,
        listing_column: str | None,
        only_later: bool,
    ) -> None:
        self._database, self._ranking = database, ranking
        self._listing_column, self._only_later = listing_column, only_later
        self._outcomes = "said" if only_later else "outcome"  # a merge adds them at its end
        self._number = lru_cache(partial(_number, database))
        self._last_said = lru_cache(partial(_last_said, database))
        self.units: set[int] = set()
        self.audited: set[str] = set()

    def put(self, one: NewRow) -> None:
        row = one.row
        values = image_values(row, self._ranking, self._listing_column) | {
            "model": self._number("model", row.model),
            "policy": self._number("policy", row.policy),
            "bank": row.bank and self._number("bank", row.bank),
            "file_state": one.file_state,
            **one.stored,
        }
        old = self._at(values["key"])
        if row.is_pending or old is not None or values["listing"] is not None:
            self.units.add(values["unit"])
        if row.audit is not None and row.sha256 is not None:
            self.audited.add(row.sha256)
        if old is None:
            values["first"] = max(values["first"], self._after_all(values))
        if old is None or not self._is_settled(row, values, old):
            self._write(one, values)

    def _is_settled(self, row: Row, values: dict[str, Any], old: _Stored) -> bool:
        """Whether the row in place stays and nothing else is to be written.

        What is to be written otherwise is changed in ``values``, and what is in its way moved.
        """
        self._note_audited(old)
        is_older = self._only_later and old.time > values["time"]
        is_same = old.sha256 == row.sha256 or None in {old.sha256, row.sha256}
        if is_same:
            values["first"] = min(old.first, values["first"]) if self._only_later else old.first
        if old.is_scored and row.is_unread:
            if not is_older:
                self._change(old.id, "seen = ?, gone = ifnull(gone, ?)", row.reason, values["time"])
            return True
        if not is_older:
            if not is_same:
                values["first"] = self._set_aside(old, values)
            return False
        if old.sha256 is None and not old.is_scored and not row.is_unread:
            values |= {"seen": old.reason, "gone": old.time}
            return False
        if not is_same and self._matters(row.is_lead or row.audit is not None, row.sha256):
            key = former_key(values["key"], row.sha256 or "")
            values |= {"key": key, "seen": REPLACED, "gone": old.time}
            return False
        if is_same:
            self._change(old.id, "first = ?", values["first"])
        return True

    def _set_aside(self, old: _Stored, values: Mapping[str, Any]) -> str:
        """Keep an image that other bytes replace, if it matters; return the age of these."""
        key, sha256 = values["key"], values["sha256"]
        back = self._at(former_key(key, sha256))
        if back is not None:  # it was here before
            self._remove(back)
        is_lead = old.is_scored and old.place < UNSCORED_PLACE
        if self._matters(is_lead or old.is_audited, old.sha256):
            former = former_key(key, old.sha256 or "")
            if (other := self._at(former)) is not None:
                self._remove(other)
            changes = "key = ?, seen = ?, gone = ifnull(gone, ?), file_state = NULL"
            self._change(old.id, changes, former, REPLACED, values["time"])
        if back is not None:
            return back.first
        return max(str(values["first"]), self._after_all(values))

    def _after_all(self, values: Mapping[str, Any]) -> str:
        """Return a time after all that was said, even by a clock ahead, of what nobody has seen."""
        return self._last_said(values["unit"], values["listing"] or values["source"])

    def _write(self, one: NewRow, values: dict[str, Any]) -> None:
        (image,) = self._database.execute(put_image((*values,)), values).fetchone()
        for table in ("thumbnail", "embedding"):
            self._database.execute(f"DELETE FROM {table} WHERE image = ?", (image,))
        if one.thumbnail is not None:
            shown = (image, *astuple(one.thumbnail))
            self._database.execute("INSERT INTO thumbnail VALUES (?, ?, ?, ?, ?)", shown)
        if one.embedding is not None:
            vector = (image, one.embedding.tobytes())
            self._database.execute("INSERT INTO embedding VALUES (?, ?)", vector)

    def _at(self, key: int) -> _Stored | None:
        record = self._database.execute(
            "SELECT id, place, status != 'failed', audit IS NOT NULL, sha256, reason, first, time"
            " FROM image WHERE key = ?",
            (key,),
        ).fetchone()
        return None if record is None else _Stored(*record)

    def _matters(self, is_kept: bool, sha256: str | None) -> bool:
        """Whether an image stays beside the one that replaces it."""
        if is_kept or sha256 is None:
            return is_kept
        statement = f"SELECT 1 FROM {self._outcomes} WHERE sha256 = ?"
        return self._database.execute(statement, (sha256,)).fetchone() is not None

    def _remove(self, image: _Stored) -> None:
        remove_image(self._database, image.id)
        self._note_audited(image)

    def _note_audited(self, image: _Stored) -> None:
        if image.is_audited and image.sha256 is not None:
            self.audited.add(image.sha256)

    def _change(self, image: int, changes: str, *values: object) -> None:
        self._database.execute(f"UPDATE image SET {changes} WHERE id = ?", (*values, image))


def remove_image(database: sqlite3.Connection, image: int) -> None:
    for table, column in (("thumbnail", "image"), ("embedding", "image"), ("image", "id")):
        database.execute(f"DELETE FROM {table} WHERE {column} = ?", (image,))


def _last_said(database: sqlite3.Connection, unit: int, name: str) -> str:
    """Return a time after all that was said of a listing, or of its leads without naming any."""
    (said,) = database.execute(
        "SELECT max(time) FROM outcome WHERE listing = ?1 OR (listing IS NULL AND sha256 IN"
        " (SELECT sha256 FROM image WHERE unit = ?2 AND place < 2))",
        (name, unit),
    ).fetchone()
    return as_utc(datetime.fromisoformat(said) + timedelta(microseconds=1)) if said else ""


def change_rows(file: ScanFile, rows: Iterable[tuple[int, Row]], ranking: Ranking) -> None:
    """Change what was decided on images, and the columns of their listings, by number."""
    units: set[int] = set()
    audited: set[str | None] = set()
    with file.transaction() as database:
        number = lru_cache(partial(_number, database))
        for image, row in rows:
            unit, was_audited = database.execute(
                "SELECT unit, iif(audit IS NULL, NULL, sha256) FROM image WHERE id = ?", (image,)
            ).fetchone()
            values = changed_values(row, ranking) | {"policy": number("policy", row.policy)}
            changed = ", ".join(f"{name} = :{name}" for name in values)
            database.execute(f"UPDATE image SET {changed} WHERE id = :id", values | {"id": image})
            units.add(unit)
            audited.update((was_audited, None if row.audit is None else row.sha256))
        refresh_entries(database, units, filter(None, audited))


def _number(database: sqlite3.Connection, table: str, one: Reference | ModelReference) -> int:
    """Return the number of a model, policy or bank, which is added if it is new."""
    values = asdict(one)
    columns = f"({', '.join(values)}) VALUES (:{', :'.join(values)})"
    database.execute(f"INSERT OR IGNORE INTO {table} {columns}", values)
    # The digest alone identifies a model.
    statement = f"SELECT id FROM {table} WHERE digest = :digest ORDER BY name = :name DESC"
    for (number,) in database.execute(statement, values):
        return int(number)
    raise sqlite3.DatabaseError(f"its table {table!r} is damaged: restore a copy")
