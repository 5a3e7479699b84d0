"""Rows of listings: what the images of one listing, sorted on disk, come to together."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from recognizer._atomic import replacing, require_own
from recognizer._sqlite import TemporaryStore
from recognizer.errors import UsageError
from recognizer.policy import CandidateKind, Decision, Lead
from recognizer.rows.journal import last_rows
from recognizer.rows.row import JSON, ModelReference, PolicyReference, Row
from recognizer.status import Status

LISTING_COLUMNS = ("listing_id", "listing", "item_id", "ad_id", "offer_id", "product_id", "id")
"""Names by which the column with the listing's identity is found, the surest first; case does not
matter."""

_BANDS = (Decision.UNSCORED, Decision.CLEAR, Decision.REVIEW, Decision.PRIORITY)
_MAX_NAMED = 30  # columns that an error message lists
_BEGINNING = b'{"listing":'


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingRow:
    """What the images of a listing come to; ``docs/sources.md`` describes its keys.

    Of the images, the highest band counts. A listing is clear only where all its images are.
    Where some failed and the others show nothing, its decision is ``unscored``.
    """

    listing: Any
    item: Mapping[str, Any] | None
    status: Status
    decision: Decision
    leads: tuple[Lead, ...]
    scores: Mapping[str, float] | None
    family: Mapping[str, float] | None
    why: tuple[str, ...]
    best: str
    images: int
    scored: int
    failed: int
    lead_images: int
    sources: tuple[str, ...]
    model: ModelReference
    policy: PolicyReference

    @classmethod
    def from_rows(cls, listing: Any, rows: Sequence[Row]) -> Self:
        """Make the row of a listing from the rows of its images, at least one."""
        best = max(rows, key=_rank)
        scored = [row for row in rows if row.status is not Status.FAILED]
        leads = [row for row in rows if row.is_lead]
        status = Status.OK if all(row.status is Status.OK for row in rows) else Status.DEGRADED
        return cls(
            listing=listing,
            item=best.item,
            status=status if scored else Status.FAILED,
            decision=best.decision if leads or len(scored) == len(rows) else Decision.UNSCORED,
            leads=_strongest(lead for row in leads for lead in row.leads),
            scores=_highest(row.scores for row in scored),
            family=_highest(row.family for row in scored),
            why=best.why if leads else (),
            best=best.source,
            images=len(rows),
            scored=len(scored),
            failed=len(rows) - len(scored),
            lead_images=len(leads),
            sources=tuple(row.source for row in rows),
            model=best.model,
            policy=best.policy,
        )

    def to_json_line(self) -> bytes:
        """Return the row as one line of ASCII, with its newline."""
        return JSON.encode(msgspec.to_builtins(self)).encode("ascii") + b"\n"


def _rank(row: Row) -> tuple[int, float]:
    return _BANDS.index(row.decision), max((lead.score for lead in row.leads), default=0.0)


def _strongest(leads: Iterable[Lead]) -> tuple[Lead, ...]:
    """Return the highest lead of each label and family, the highest score first."""
    strongest: dict[tuple[CandidateKind, str], Lead] = {}
    for lead in sorted(leads, key=lambda lead: -lead.score):
        strongest.setdefault((lead.kind, lead.name), lead)
    return tuple(strongest.values())


def _highest(scores: Iterable[Mapping[str, float] | None]) -> dict[str, float] | None:
    highest: dict[str, float] = {}
    for image in scores:
        for name, score in (image or {}).items():
            highest[name] = max(score, highest.get(name, 0.0))
    return highest or None


def write_listings(
    journal: str | os.PathLike[str], output: str | os.PathLike[str], column: str | None = None
) -> tuple[int, int]:
    """Write a row for each listing whose images are in a journal, in one step.

    The images of a listing have the same value in ``column``; None finds it by
    :data:`LISTING_COLUMNS`. Returns how many listings there are, and how many images belong to
    none.
    """
    target = Path(output)
    require_listings(target)
    count = strays = 0
    has_column = False
    others: dict[str, None] = {}
    with replacing(target) as partial, _Images() as images:
        for row in last_rows(journal):
            listing = listing_of(row.item, column)
            has_column = has_column or column in (row.item or ())
            if not has_column and len(others) < _MAX_NAMED:
                others |= dict.fromkeys(row.item or ())
            if listing is None:
                strays += 1
            else:
                images.put(listing, row)
        if column is not None and strays and not has_column:
            names = ", ".join(map(repr, [*others][:_MAX_NAMED])) or "no columns at all"
            raise UsageError(
                f"no image in {journal} has the listing column {column!r}, but {names}"
            )
        with partial.open("wb") as file:
            for listing, rows in images.by_listing():
                file.write(ListingRow.from_rows(listing, rows).to_json_line())
                count += 1
    return count, strays


def require_listings(path: Path) -> None:
    """Raise a UsageError unless a file can be written that replaces nothing but one of listings."""
    require_own(path, "file of listings", lambda file: file.read(len(_BEGINNING)) == _BEGINNING)


def listing_of(item: Mapping[str, Any] | None, column: str | None = None) -> Any:
    """Return the identity of an image's listing; None where it belongs to none.

    Args:
        item: the listing's own columns.
        column: the column that tells listings apart; None to find it (:data:`LISTING_COLUMNS`).
    """
    if not item:
        return None
    if column is not None:
        return item.get(column)
    by_name = {name.strip().lower(): name for name in reversed([*item])}
    return next((item[by_name[name]] for name in LISTING_COLUMNS if name in by_name), None)


class _Images(TemporaryStore):
    def __init__(self) -> None:
        super().__init__(
            "CREATE TABLE image (listing, source, row, PRIMARY KEY (listing, source)) WITHOUT ROWID"
        )

    def put(self, listing: Any, row: Row) -> None:
        """Add an image. Where its columns have changed it has two rows; the later one counts."""
        source = row.source.encode("utf-8", "surrogatepass")
        with self._reported():
            self._database.execute(
                "REPLACE INTO image VALUES (?, ?, ?)",
                (json.dumps(listing), source, row.to_json_line()),
            )

    def by_listing(self) -> Iterator[tuple[Any, list[Row]]]:
        with self._reported():
            ordered = self._database.execute(
                "SELECT listing, row FROM image ORDER BY listing, source"
            )
            for listing, group in itertools.groupby(ordered, key=lambda found: found[0]):
                yield json.loads(listing), [Row.from_json_line(row) for _, row in group]
