"""Writes images, and with them the entries of the queue, in one transaction."""

import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial

from recognizer.imaging.thumbnail import Thumbnail
from recognizer.model.description import ModelReference
from recognizer.policy.values import Decision
from recognizer.rows.queue import IS_LEAD, refresh_entries
from recognizer.rows.records import (
    Ranking,
    as_utc,
    changed_values,
    image_values,
    put_image,
)
from recognizer.rows.row import Reference, Row
from recognizer.rows.scanfile import ScanFile


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row to be written; ``file_state`` identifies an unchanged file."""

    row: Row
    thumbnail: Thumbnail | None = None
    file_state: bytes | None = None


def put_rows(file: ScanFile, new: Iterable[NewRow], ranking: Ranking) -> list[int]:
    """Write rows, each over the last row of the image, all or none; return the images' numbers.

    A scored row stays where the image could not be read later.
    """
    written: list[int] = []
    with file.transaction() as database:
        number = lru_cache(partial(_number, database))
        units: set[int] = set()
        audited: set[str | None] = set()
        for new_row in new:
            row = new_row.row
            values = image_values(row, ranking, file.listing_column) | {
                "model": number("model", row.model),
                "policy": number("policy", row.policy),
                "file_state": new_row.file_state,
            }
            old = database.execute(
                "SELECT status != 'failed', iif(audit IS NULL, NULL, sha256), sha256, first"
                " FROM image WHERE key = ?",
                (values["key"],),
            ).fetchone()
            is_scored, was_audited, sha256, first = old or (False, None, None, None)
            if is_scored and row.is_unread:
                continue
            if first is not None and (sha256 == row.sha256 or None in {sha256, row.sha256}):
                values["first"] = first
            else:  # an image that nobody has seen
                name = values["listing"] or values["source"]
                last = _last_outcome(database, values["unit"], name)
                values["first"] = max(values["first"], last)
            is_pending = row.decision is not Decision.CLEAR
            if is_pending or old is not None or values["listing"] is not None:
                units.add(values["unit"])
            audited.update((was_audited, None if row.audit is None else row.sha256))
            (image,) = database.execute(put_image((*values,)), values).fetchone()
            written.append(image)
            database.execute("DELETE FROM thumbnail WHERE image = ?", (image,))
            if new_row.thumbnail is not None:
                thumbnail = (image, *astuple(new_row.thumbnail))
                database.execute("INSERT INTO thumbnail VALUES (?, ?, ?, ?, ?)", thumbnail)
        refresh_entries(database, units, filter(None, audited))
    return written


def _last_outcome(database: sqlite3.Connection, unit: int, name: str) -> str:
    """Return a time after the latest outcome of a listing, even if a clock was ahead."""
    (time,) = database.execute(
        "SELECT max(time) FROM outcome WHERE listing = ?1 OR (listing IS NULL AND sha256 IN"
        f" (SELECT sha256 FROM image WHERE unit = ?2 AND {IS_LEAD}))",
        (name, unit),
    ).fetchone()
    return as_utc(datetime.fromisoformat(time) + timedelta(microseconds=1)) if time else ""


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


def _number(database: sqlite3.Connection, table: str, reference: Reference | ModelReference) -> int:
    """Return the number of a model or policy, which is added if it is new."""
    values = asdict(reference)
    columns = f"({', '.join(values)}) VALUES (:{', :'.join(values)})"
    database.execute(f"INSERT OR IGNORE INTO {table} {columns}", values)
    # The digest alone identifies a model.
    statement = f"SELECT id FROM {table} WHERE digest = :digest ORDER BY name = :name DESC"
    for (number,) in database.execute(statement, values):
        return int(number)
    raise sqlite3.DatabaseError(f"its table {table!r} is damaged: restore a copy")
