"""Merge scans: the latest row of an image counts; of equally late rows, that of the last input.

A scored row is never replaced by a failure to read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from pathlib import Path

from recognizer._files import replacing
from recognizer._sqlite import columns_of, statements
from recognizer.errors import ScanFileError, UsageError
from recognizer.rows.listings import group_copies
from recognizer.rows.queue import IS_QUEUED, refresh_entries
from recognizer.rows.records import REFERENCES
from recognizer.rows.scanfile import ScanFile

CLOCK_TOLERANCE = timedelta(days=1)  # a time that is further ahead comes from a wrong clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The numbers of a merge; ``superseded`` rows had a later one in another input."""

    rows: int = 0
    superseded: int = 0
    outcomes: int = 0


def merge(inputs: Sequence[Path], output: Path, *, allow_mixed: bool = False) -> Merged:
    """Merge scans into a new file.

    The output appears in one step. Without ``allow_mixed``, rows of several models or policies
    are refused, as their scores cannot be ranked together.
    """
    if output.exists():
        raise UsageError(f"{output} exists: name another --output, and move it there afterwards")
    with replacing(output) as partial, ScanFile(output, create=True, place=partial) as file:
        file.execute("CREATE TEMP TABLE added AS SELECT NULL AS arrival, * FROM outcome LIMIT 0")
        read = 0
        for path in inputs:
            with ScanFile(path) as other:
                read += _add_scan(file, other)
        with file.transaction() as database:
            columns = ", ".join(columns_of(database, "outcome", "number"))
            database.execute(  # by time, and by the order within a file
                f"INSERT OR IGNORE INTO outcome ({columns}) SELECT {columns} FROM added"
                " ORDER BY arrival, rowid"
            )
            units = database.execute(
                f"SELECT DISTINCT unit FROM image WHERE {IS_QUEUED}"
            ).fetchall()
            audited = database.execute("SELECT sha256 FROM image WHERE audit IS NOT NULL")
            refresh_entries(
                database, (unit for (unit,) in units), (sha256 for (sha256,) in audited)
            )
        _check_kinds(file, allow_mixed)
        group_copies(file)
        counts = "SELECT (SELECT count(*) FROM image), (SELECT count(*) FROM outcome)"
        ((rows_now, outcomes),) = file.select(counts)
    return Merged(rows=rows_now, superseded=read - rows_now, outcomes=outcomes)


def _add_scan(file: ScanFile, other: ScanFile) -> int:
    column = other.listing_column
    if len(file) and column != file.listing_column:
        words = f"identified by the column {column!r}, those of the others by"
        raise ScanFileError(f"{other.path}: its listings are {words} {file.listing_column!r}")
    if column is not None:
        file.set_listing_column(column)
    file.execute("ATTACH ? AS other", (re.sub("mode=rwc?", "mode=ro", other.uri),))
    with file.transaction() as database:
        names = columns_of(database, "image", "id", *REFERENCES)
        changes = [
            f"{n} = excluded.{n}" for n in (*names, *REFERENCES) if n not in {"key", "first"}
        ]
        script = (resources.files("recognizer.rows") / "merge.sql").read_text("utf-8")
        script = script.format(columns=", ".join(names), changes=", ".join(changes))
        for statement in statements(script):
            database.execute(statement)
    file.execute("DETACH other")
    return len(other)


def _check_kinds(file: ScanFile, allow_mixed: bool) -> None:
    kinds = file.select(
        "SELECT printf('%d rows of model %s-v%d (%.12s), policy %s (%.12s), preprocessing %d',"
        " count(*), model.name, version, model.digest, policy.name, policy.digest, preprocessing)"
        " FROM image JOIN model ON model.id = image.model JOIN policy ON policy.id = image.policy"
        " GROUP BY image.model, image.policy, preprocessing ORDER BY count(*) DESC"
    )
    if len(kinds) > 1 and not allow_mixed:
        words = "; ".join(words for (words,) in kinds)
        advice = "Scan some again with the model and policy of the others, or use --allow-mixed"
        raise ScanFileError(f"these scans cannot be compared: {words}. {advice}")
