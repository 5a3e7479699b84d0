"""Rows of listings: what the photos of one listing come to together.

Made from the journal at any time, in flat memory: the photos are sorted on disk.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recognizer._atomic import replacing, require_own
from recognizer._sqlite import TemporaryStore
from recognizer.errors import UsageError
from recognizer.policy import Decision
from recognizer.rows.journal import last_rows
from recognizer.rows.row import Row
from recognizer.rows.summary import is_lead, lead_names
from recognizer.status import Status

LISTING_COLUMNS = ("listing_id", "listing", "item_id", "ad_id", "offer_id", "product_id", "id")
"""Names by which the column with the listing's identity is found, the surest first; case does not
matter."""

LISTING_KEYS = (
    *("listing", "item", "status", "decision", "labels", "scores", "family", "why", "best"),
    *("images", "scored", "failed", "leads", "sources", "model", "policy"),
)
"""The keys of a listing's row, in their order; ``docs/sources.md`` says what they hold."""

_BANDS = (None, Decision.CLEAR, Decision.REVIEW, Decision.PRIORITY)
_MOST_NAMED = 30  # columns, where the one that is wanted is not there
_BEGINNING = b'{"listing":'
# Of a photo's row, for the sorting.
_KEPT = (
    *("source", "item", "status", "scores", "labels", "family", "decision", "why", "regions"),
    *("model", "policy"),
)


def write_listings(
    journal: str | os.PathLike[str], output: str | os.PathLike[str], column: str | None = None
) -> tuple[int, int]:
    """Write a row for each listing whose photos are in a journal.

    The photos of a listing are those whose last rows have the same value in the listing's column.
    The file takes its place in one step.

    Args:
        journal: the rows of a scan (JSONL).
        output: the file, JSON lines.
        column: the column that tells listings apart; None to find it, see
            :data:`LISTING_COLUMNS`.

    Returns:
        How many listings there are, and how many photos that belong to none.

    Raises:
        JournalError: the journal cannot be read.
        UsageError: the output cannot be written, or exists and is no file of listings; or no photo
            has the column.
    """
    target = Path(output)
    require_listings(target)
    count = strays = 0
    has_column = False
    others: dict[str, None] = {}
    with replacing(target) as partial, _Photos() as photos:
        for row in last_rows(journal):
            listing = _listing_of(row["item"], column)
            has_column = has_column or column in (row["item"] or ())
            if not has_column and len(others) < _MOST_NAMED:
                others |= dict.fromkeys(row["item"] or ())
            if listing is None:
                strays += 1
            else:
                photos.put(listing, row)
        if column is not None and strays and not has_column:
            names = ", ".join(map(repr, [*others][:_MOST_NAMED])) or "no columns at all"
            raise UsageError(
                f"no photo in {journal} has the listing column {column!r}, but {names}"
            )
        with partial.open("wb") as file:
            for listing, rows in photos.by_listing():
                line = json.dumps(listing_row(listing, rows), separators=(",", ":"))
                file.write(line.encode("ascii") + b"\n")
                count += 1
    return count, strays


def require_listings(path: Path) -> None:
    """Check that a file may be replaced by one of listings.

    Raises:
        UsageError: it is something else, or cannot be written.
    """
    require_own(path, "file of listings", lambda file: file.read(len(_BEGINNING)) == _BEGINNING)


def listing_row(listing: Any, rows: Sequence[Row]) -> Row:
    """Return the row of a listing: of its photos, the highest band counts.

    A listing is clear only where all its photos are. Where some failed and the others show
    nothing, its decision is null.

    Args:
        listing: what tells it from others.
        rows: the rows of its photos, at least one.
    """
    best = max(rows, key=_rank)
    scored = [row for row in rows if row["status"] != Status.FAILED]
    failed = len(rows) - len(scored)
    leads = sorted(filter(is_lead, rows), key=_rank, reverse=True)
    decision = best["decision"]
    if failed and not leads:
        decision = None
    status = Status.OK if all(row["status"] == Status.OK for row in rows) else Status.DEGRADED
    values = (
        listing,
        best["item"],
        Status.FAILED.value if not scored else status.value,
        decision,
        list(dict.fromkeys(label for row in leads for label in row["labels"])),
        _highest([row["scores"] for row in scored]),
        _highest([row["family"] for row in scored]),
        best["why"] if leads else [],
        best["source"],
        len(rows),
        len(scored),
        failed,
        len(leads),
        [row["source"] for row in rows],
        best["model"],
        best["policy"],
    )
    return dict(zip(LISTING_KEYS, values, strict=True))


def _rank(row: Row) -> tuple[int, float]:
    names = lead_names(row) if is_lead(row) else []
    return _BANDS.index(row["decision"]), max((row["scores"][name] for name in names), default=0.0)


def _highest(scores: Sequence[Mapping[str, float] | None]) -> dict[str, float] | None:
    highest: dict[str, float] = {}
    for photo in scores:
        for name, score in (photo or {}).items():
            highest[name] = max(score, highest.get(name, 0.0))
    return highest or None


def _listing_of(item: Mapping[str, Any] | None, column: str | None) -> Any:
    if not item:
        return None
    if column is not None:
        return item.get(column)
    by_name = {name.strip().lower(): name for name in reversed([*item])}
    return next((item[by_name[name]] for name in LISTING_COLUMNS if name in by_name), None)


class _Photos(TemporaryStore):
    """The rows of photos, sorted by listing."""

    def __init__(self) -> None:
        super().__init__(
            "CREATE TABLE photo (listing, source, row, PRIMARY KEY (listing, source)) WITHOUT ROWID"
        )

    def put(self, listing: Any, row: Row) -> None:
        """Add a photo. Where its columns have changed it has two rows; the later one counts."""
        kept = json.dumps({key: row[key] for key in _KEPT}).encode("ascii")
        source = row["source"].encode("utf-8", "surrogatepass")
        with self._reported():
            self._database.execute(
                "REPLACE INTO photo VALUES (?, ?, ?)", (json.dumps(listing), source, kept)
            )

    def by_listing(self) -> Iterator[tuple[Any, list[Row]]]:
        """Yield each listing with the rows of its photos."""
        with self._reported():
            ordered = self._database.execute(
                "SELECT listing, row FROM photo ORDER BY listing, source"
            )
            for listing, group in itertools.groupby(ordered, key=lambda found: found[0]):
                yield json.loads(listing), [json.loads(row) for _, row in group]
