"""Rows of versions before 0.5, whose source is a path as somebody wrote it, get the file's name."""

import hashlib
import os
from contextlib import suppress
from dataclasses import replace

from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused, read_path
from recognizer.rows.identity import MEMBER, as_name, file_state, real_path
from recognizer.rows.queue import refresh_entries
from recognizer.rows.records import place_values
from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile

_LAST = "adopted"  # a setting: the last row that an earlier version may have written


def adopt(file: ScanFile) -> int:
    """Give rows the one name of their file, and return how many stay relative.

    A row is adopted if its path, seen from the current folder, leads to what was scanned: by size
    and times, else by its bytes. Of two rows of one file the later stays, with the earlier first
    time; outcomes move along. All of it is one transaction.
    """
    last = file.setting(_LAST)
    ((newest,),) = file.select("SELECT ifnull(max(id), 0) FROM image")
    which = "image.id <= ? AND instr(source, '://') = 0"
    which += "" if last is None else " AND substr(source, 1, 1) != '/'"
    moved, unplaced = list[tuple[int, Row, str]](), 0
    for image, row in file.numbered_rows(which, (newest if last is None else int(last),)):
        path = real_path(row.source)
        if path != row.source and _is_same(file, image, row, path):
            moved.append((image, row, path))
        else:
            unplaced += not os.path.isabs(row.source)
    with file.transaction():
        file.set_setting(_LAST, str(newest) if last is None else last)
        if moved:
            _move(file, moved)
    return unplaced


def _is_same(file: ScanFile, image: int, row: Row, path: str) -> bool:
    found = None if MEMBER in row.source else file_state(path)
    if found is None or row.sha256 is None:
        return False
    if [(found[0],)] == file.select("SELECT file_state FROM image WHERE id = ?", (image,)):
        return True
    with suppress(Refused):
        return hashlib.sha256(read_path(path, Limits())).hexdigest() == row.sha256
    return False


def _move(file: ScanFile, moved: list[tuple[int, Row, str]]) -> None:
    """Write the new names of images, by number, in the transaction that is open."""
    units, audited = set[int](), set[str]()
    with file.transaction() as database:
        ((trigger,),) = file.select("SELECT sql FROM sqlite_schema WHERE name = 'outcome_stays'")
        database.execute("DROP TRIGGER outcome_stays")
        for image, row, path in moved:
            values = place_values(replace(row, source=path), file.listing_column)
            ((before, first, time),) = file.select(
                "SELECT unit, first, time FROM image WHERE id = ?", (image,)
            )
            units |= {before, values["unit"]}
            audited |= {row.sha256} if row.audit is not None and row.sha256 else set()
            stays = image
            for other, their_first, their_time, sha256 in database.execute(
                "SELECT id, first, time, sha256 FROM image WHERE key = ? AND id != ?",
                (values["key"], image),
            ).fetchall():
                stays, out = (other, image) if their_time > time else (image, other)
                first = min(first, their_first) if sha256 == row.sha256 else max(first, their_first)
                for table, column in (("image", "id"), ("thumbnail", "image"), ("seen", "image")):
                    database.execute(f"DELETE FROM {table} WHERE {column} = ?", (out,))
            changes = values | {"first": first}
            changed = ", ".join(f"{name} = :{name}" for name in changes)
            database.execute(f"UPDATE image SET {changed} WHERE id = :id", changes | {"id": stays})
            names = (values["source"], as_name(row.source))
            database.execute("UPDATE outcome SET listing = ? WHERE listing = ?", names)
        database.execute(trigger)
        refresh_entries(database, units, audited)
