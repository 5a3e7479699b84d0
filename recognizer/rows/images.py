"""Writes images, and with them the entries of the queue, in one transaction."""

import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from recognizer.imaging.thumbnail import Thumbnail
from recognizer.model.description import ModelReference
from recognizer.rows.queue import refresh_entries
from recognizer.rows.records import (
    CLEAR_PLACE,
    PUT_IMAGE,
    Ranking,
    as_utc,
    changed_values,
    image_values,
)
from recognizer.rows.row import Reference, Row
from recognizer.rows.scanfile import ScanFile


@dataclass(frozen=True, slots=True)
class NewRow:
    """What a scan writes of one image; by ``file_state`` its file is known to be unchanged."""

    row: Row
    thumbnail: Thumbnail | None = None
    embedding: NDArray[np.int8] | None = None
    file_state: bytes | None = None


def put_rows(
    file: ScanFile, new: Iterable[NewRow], ranking: Ranking, *, only_later: bool = False
) -> None:
    """Write rows, each in the place of the last one of its image, all or none of them.

    With ``only_later`` a row that is older than the one in its place is left out.
    """
    units: set[int] = set()
    audited: set[str | None] = set()
    with file.transaction() as database:
        number = lru_cache(partial(_number, database))
        said = lru_cache(partial(_last_said, database))
        for one in new:
            row = one.row
            values = image_values(row, ranking, file.listing_column) | {
                "model": number("model", row.model),
                "policy": number("policy", row.policy),
                "bank": row.bank and number("bank", row.bank),
                "file_state": one.file_state,
            }
            old = database.execute(
                "SELECT place, sha256, iif(audit IS NULL, NULL, sha256), first, time FROM image"
                " WHERE key = ?",
                (values["key"],),
            ).fetchone()
            place, sha256, was_audited, first, time = old or (CLEAR_PLACE, None, None, None, "")
            if only_later and time > values["time"]:
                continue
            if first and (sha256 == row.sha256 or None in {sha256, row.sha256}):
                values["first"] = first
            else:  # nobody has seen it: it comes after what was said, even by a clock ahead
                name = values["listing"] or values["source"]
                values["first"] = max(values["first"], said(values["unit"], name))
            (image,) = database.execute(PUT_IMAGE, values).fetchone()
            if old is not None:
                database.execute("DELETE FROM thumbnail WHERE image = ?", (image,))
                database.execute("DELETE FROM embedding WHERE image = ?", (image,))
            if one.thumbnail is not None:
                shown = (image, *astuple(one.thumbnail))
                database.execute("INSERT INTO thumbnail VALUES (?, ?, ?, ?, ?)", shown)
            if one.embedding is not None:
                vector = (image, one.embedding.tobytes())
                database.execute("INSERT INTO embedding VALUES (?, ?)", vector)
            if row.is_pending or place < CLEAR_PLACE or values["listing"] is not None:
                units.add(values["unit"])
            audited.update((was_audited, None if row.audit is None else row.sha256))
        refresh_entries(database, units, filter(None, audited))


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
    database.execute(
        f"INSERT OR IGNORE INTO {table} ({', '.join(values)}) VALUES (:{', :'.join(values)})",
        values,
    )
    # The digest alone identifies a model.
    statement = f"SELECT id FROM {table} WHERE digest = :digest ORDER BY name = :name DESC"
    return int(database.execute(statement, values).fetchone()[0])
