"""Listings: what the images of one come to together, and what its own columns say of it.

A listing is the unit of review. It is made from the rows of its images; of a listing without an
image there is a row too. :mod:`recognizer.rows.listing_table` finds the listings of a journal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self

import msgspec

from recognizer.listing_columns import Role, as_count, as_text, as_time, as_url, value_of
from recognizer.listing_rules import KeywordHit
from recognizer.policy import CandidateKind, Decision, Lead
from recognizer.rows.row import JSON, ModelReference, PolicyReference, Row
from recognizer.status import Reason, Status

QUEUE_ORDER = (Decision.PRIORITY, Decision.REVIEW, Decision.UNSCORED, Decision.CLEAR)
"""Decisions in the order in which listings are worked through."""

MAX_REASONS = 20
"""Sentences of ``why`` at most: a listing may have many images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingPhoto:
    """An image of a listing; ``score`` is that of its highest lead, else of its highest family."""

    source: str
    decision: Decision
    score: float | None
    status: Status
    reason: Reason | None
    sha256: str | None
    phash: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A listing, ready for review; ``docs/listings.md`` describes its keys.

    Of its images, the highest decision counts. It is clear only where all of them are; where some
    failed and the others show nothing, it is ``unscored``.
    """

    listing: str
    title: str | None
    price: str | None
    currency: str | None
    seller: str | None
    time: datetime | None
    url: str | None
    reports: int | None
    description: str | None
    decision: Decision
    image_decision: Decision
    product: str | None
    score: float | None
    keywords: tuple[KeywordHit, ...]
    why: tuple[str, ...]
    also_in_listings: int = 0
    also_in_sellers: int = 0
    copy_of: str | None = None
    action: str | None = None
    best: str | None
    images: int
    scored: int
    failed: int
    lead_images: int
    status: Status
    leads: tuple[Lead, ...]
    scores: Mapping[str, float] | None
    family: Mapping[str, float] | None
    sources: tuple[str, ...]
    photos: tuple[ListingPhoto, ...]
    item: Mapping[str, Any] | None
    scanned: datetime
    model: ModelReference
    policy: PolicyReference

    @classmethod
    def from_rows(cls, listing: str, rows: Sequence[Row]) -> Self:
        """Make a listing from the rows of its images, or the one that says that it has none."""
        images = [row for row in rows if row.reason is not Reason.NO_IMAGE]
        ranked = sorted(images or rows, key=_rank, reverse=True)
        best = ranked[0]
        scored = [row for row in images if row.status is not Status.FAILED]
        leads = _strongest(lead for row in ranked for lead in row.leads)
        is_ok = bool(images) and all(row.status is Status.OK for row in images)
        is_known = len(scored) == len(images)
        item = best.item or {}
        return cls(
            listing=listing,
            title=as_text(value_of(item, Role.TITLE)),
            price=as_text(value_of(item, Role.PRICE)),
            currency=as_text(value_of(item, Role.CURRENCY)),
            seller=as_text(value_of(item, Role.SELLER)),
            time=as_time(value_of(item, Role.TIME)),
            url=as_url(value_of(item, Role.URL)),
            reports=_most_reports(rows),
            description=as_text(value_of(item, Role.DESCRIPTION)),
            decision=_together([row.decision for row in ranked], is_known=is_known),
            image_decision=_together([row.image_decision for row in ranked], is_known=is_known),
            product=leads[0].name if leads else None,
            score=leads[0].score if leads else _score(best),
            keywords=tuple(dict.fromkeys(hit for row in ranked for hit in row.keywords)),
            why=tuple(dict.fromkeys(text for row in ranked for text in row.why))[:MAX_REASONS],
            best=best.source if images else None,
            images=len(images),
            scored=len(scored),
            failed=len(images) - len(scored),
            lead_images=sum(row.is_lead for row in images),
            status=(Status.OK if is_ok else Status.DEGRADED) if scored else Status.FAILED,
            leads=leads,
            scores=_highest(row.scores for row in scored),
            family=_highest(row.family for row in scored),
            sources=tuple(row.source for row in images),
            photos=tuple(map(_photo, ranked if images else ())),
            item=best.item,
            scanned=max(row.time for row in rows),
            model=best.model,
            policy=best.policy,
        )

    @property
    def is_lead(self) -> bool:
        """Whether somebody should look at it."""
        return self.decision in {Decision.REVIEW, Decision.PRIORITY}

    def to_json_line(self) -> bytes:
        """Return the listing as one line of JSON, with its newline."""
        try:
            return msgspec.json.encode(self) + b"\n"
        except UnicodeEncodeError:  # a path that is not valid text: it can only be escaped
            return JSON.encode(msgspec.to_builtins(self)).encode("ascii") + b"\n"

    @classmethod
    def from_json_line(cls, line: bytes) -> Self:
        """Read a listing from its line.

        Raises:
            ValueError: it is none.
        """
        try:
            found: Self = _DECODER.decode(line)
        except msgspec.DecodeError:
            try:
                return msgspec.convert(json.loads(line), cls)
            except msgspec.ValidationError as error:
                raise ValueError(str(error)) from error
        return found


_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Listing)

LISTING_FIELDS = tuple(field.name for field in fields(Listing))
"""The keys of a listing, in their order."""


def _rank(row: Row) -> tuple[int, float]:
    return -QUEUE_ORDER.index(row.decision), _score(row) or 0.0


def _score(row: Row) -> float | None:
    if row.leads:
        return row.leads[0].score
    return max(row.family.values(), default=None) if row.family else None


def _together(decisions: Sequence[Decision], *, is_known: bool) -> Decision:
    strongest = min(decisions, key=QUEUE_ORDER.index)
    return strongest if is_known or strongest is not Decision.CLEAR else Decision.UNSCORED


def _most_reports(rows: Iterable[Row]) -> int | None:
    counts = (as_count(value_of(row.item, Role.REPORTS)) for row in rows if row.item)
    return max((count for count in counts if count is not None), default=None)


def _photo(row: Row) -> ListingPhoto:
    return ListingPhoto(
        source=row.source,
        decision=row.decision,
        score=_score(row),
        status=row.status,
        reason=row.reason,
        sha256=row.sha256,
        phash=row.phash,
    )


def _strongest(leads: Iterable[Lead]) -> tuple[Lead, ...]:
    """Return the highest lead of each label and family, the highest score first."""
    strongest: dict[tuple[CandidateKind, str], Lead] = {}
    for lead in sorted(leads, key=lambda lead: -lead.score):
        strongest.setdefault((lead.kind, lead.name), lead)
    return tuple(strongest.values())


def _highest(scores: Iterable[Mapping[str, float] | None]) -> dict[str, float] | None:
    found = [image for image in scores if image]
    if not found:
        return None
    first, *others = found
    if all(tuple(image) == tuple(first) for image in others):  # as those of one model are
        columns = (image.values() for image in found)
        return dict(zip(first, map(max, *columns), strict=True)) if others else dict(first)
    highest: dict[str, float] = {}
    for image in found:
        for name, score in image.items():
            if score > highest.get(name, -1.0):
                highest[name] = score
    return highest
