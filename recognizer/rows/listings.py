"""Listings, the unit of review: their images together, what their columns say, and near-copies."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from recognizer.errors import ScanFileError
from recognizer.imaging.near_copies import near_copies
from recognizer.known import KnownItem, KnownItems, read_outcomes
from recognizer.listing import Role, as_count, value_of, values_of
from recognizer.model.description import ModelReference
from recognizer.policy.keywords import KeywordHit
from recognizer.policy.values import CandidateKind, Decision, Lead
from recognizer.rows.queue import ENTRY_ORDER, IMAGE_ORDER
from recognizer.rows.records import to_json
from recognizer.rows.row import Reference, Row
from recognizer.rows.scanfile import ScanFile
from recognizer.status import Reason, Status

_MAX_REASONS = 20  # a listing may have many images


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A listing, ready for review; ``docs/rows.md`` describes its keys."""

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
    photos: tuple[Mapping[str, Any], ...]
    item: Mapping[str, Any] | None
    scanned: datetime
    model: ModelReference
    policy: Reference

    @classmethod
    def from_rows(cls, listing: str, rows: Sequence[Row], **ranked_as: Any) -> Self:
        """Make a listing from rows in the order of the view ``ranked``, with what that says."""
        images = [row for row in rows if row.reason is not Reason.NO_IMAGE]
        if not (ranked := images or list(rows)):
            raise ScanFileError(f"{listing!r} has no images: the scan's file is damaged")
        best = ranked[0]
        scored = [row for row in images if row.status is not Status.FAILED]
        is_ok = bool(images) and all(row.status is Status.OK for row in images)
        values = values_of(best.item or {})
        reports = [as_count(value_of(row.item, Role.REPORTS)) for row in ranked if row.item]
        values["reports"] = max((count for count in reports if count is not None), default=None)
        return cls(
            listing=listing,
            **values,
            decision=best.decision,
            keywords=tuple(dict.fromkeys(hit for row in ranked for hit in row.keywords)),
            why=tuple(dict.fromkeys(text for row in ranked for text in row.why))[:_MAX_REASONS],
            best=best.source if images else None,
            images=len(images),
            scored=len(scored),
            failed=len(images) - len(scored),
            lead_images=sum(row.is_lead for row in images),
            status=(Status.OK if is_ok else Status.DEGRADED) if scored else Status.FAILED,
            leads=_strongest(lead for row in ranked for lead in row.leads),
            scores=_highest(row.scores for row in scored),
            family=_highest(row.family for row in scored),
            sources=tuple(dict.fromkeys(row.source for row in images)),
            photos=tuple(map(_photo, images)),
            item=best.item,
            scanned=max(row.time for row in rows),
            model=best.model,
            policy=best.policy,
            **ranked_as,
        )

    def to_json_line(self) -> bytes:
        """Return the listing as one line of JSON, with its newline."""
        return (to_json(self) or "").encode() + b"\n"


def read_listings(file: ScanFile) -> Iterator[Listing]:
    """Yield listings, and images without a listing, in the order of the queue, folded as there."""
    actions = file.actions()
    copies = "FROM entry WHERE copies = (SELECT copies FROM entry WHERE unit = ranked.unit)"
    names = ("product", "score", "also_in_listings", "also_in_sellers", "copy_of")
    for unit, name, *ranked_as in file.stream(
        "SELECT unit, ifnull(listing, source), product, score,"
        f" (SELECT count(*) {copies} AND unit != ranked.unit),"
        f" (SELECT count(DISTINCT seller) {copies} AND unit != ranked.unit),"
        f" (SELECT iif(unit = ranked.unit, NULL, ifnull(listing, source)) {copies}"
        f" ORDER BY {ENTRY_ORDER} LIMIT 1) FROM ranked ORDER BY {ENTRY_ORDER}"
    ):
        rows = [row for _, row in file.numbered_rows("unit = ?", (unit,), IMAGE_ORDER)]
        listing = Listing.from_rows(name, rows, **dict(zip(names, ranked_as, strict=True)))
        yield replace(listing, action=actions.get((listing.policy, listing.decision)))


def _photo(row: Row) -> dict[str, Any]:
    """Return an image of a listing; the score is that of its highest lead, else of a family."""
    score = row.leads[0].score if row.leads else max((row.family or {}).values(), default=None)
    names = ("source", "decision", "score", "status", "reason", "sha256", "phash")
    return {name: score if name == "score" else getattr(row, name) for name in names}


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
            highest[name] = max(score, highest.get(name, score))
    return highest or None


DECIDED = """(SELECT * FROM (
  SELECT *, row_number() OVER (PARTITION BY sha256 ORDER BY moment DESC) AS newest
  FROM standing WHERE sha256 IS NOT NULL)
WHERE newest = 1 AND judgement IN ('confirmed', 'rejected'))"""
"""The latest outcome of each image that was decided, unless withdrawn, in SQL."""


class DecidedImage(NamedTuple):
    """An image and the last outcome about it that was not withdrawn."""

    row: Row
    is_confirmed: bool
    label: str | None  # of the outcome
    outcome: str  # its id
    note: str | None

    @property
    def likely_label(self) -> str | None:
        """The reviewer's label; without it, the label of the first lead of a confirmed image."""
        return self.label or next(iter(self.row.lead_labels if self.is_confirmed else ()), None)


def decided_images(scan: ScanFile) -> Iterator[DecidedImage]:
    """Yield the images that were decided, in the order of the scan, each content once."""
    latest = f"SELECT sha256, judgement = 'confirmed', label, id, note FROM {DECIDED}"
    decided = {sha256: values for sha256, *values in scan.select(latest)}
    for row in scan.rows("sha256 IN (SELECT value FROM json_each(?))", (json.dumps([*decided]),)):
        if (values := decided.pop(row.sha256, None)) is not None:
            is_confirmed, *others = values
            yield DecidedImage(row, bool(is_confirmed), *others)


def load_known(path: str | os.PathLike[str]) -> KnownItems:
    """Return the confirmed images of a scan's file, or of a .jsonl file of `outcomes export`.

    Images without a perceptual hash, unreadable and blank ones, are left out.
    """
    if Path(path).suffix.lower() == ".jsonl":
        return KnownItems(read_outcomes(Path(path)))
    with ScanFile(path) as scan:
        return KnownItems(
            KnownItem(
                phash=image.row.phash,
                outcome=image.outcome,
                sha256=image.row.sha256,
                label=image.label,
                note=image.note,
            )
            for image in decided_images(scan)
            if image.is_confirmed and image.row.phash is not None
        )


def group_copies(file: ScanFile) -> None:
    """Fold the entries of the queue whose best images are near-copies, if that is out of date.

    In a file that is open for reading only, they stay as they were folded last.
    """
    if file.setting("grouped") == "1" or not file.is_writable:
        return
    mark = os.urandom(8).hex()  # others may write while the hashes are compared
    file.set_setting("grouped", mark)
    changes = _changed_groups(file)
    with file.transaction() as database:
        database.executemany("UPDATE entry SET copies = ? WHERE unit = ? AND best = ?", changes)
        database.execute(
            "UPDATE setting SET value = '1' WHERE name = 'grouped' AND value = ?", (mark,)
        )


def _changed_groups(file: ScanFile) -> list[tuple[int | None, int, int]]:
    """Return the group, unit and best image of entries whose group has changed."""
    entries = file.select(
        "SELECT entry.unit, best, entry.copies, phash, iif(status = 'failed', NULL, sha256)"
        " FROM entry JOIN image ON image.id = best WHERE section = 'queue' ORDER BY best"
    )
    first = near_copies([e[3] for e in entries], [e[4] for e in entries]).tolist()
    groups = {at for position, at in enumerate(first) if at != position}
    return [
        (group, unit, best)
        for (unit, best, before, *_), at in zip(entries, first, strict=True)
        if (group := entries[at][0] if at in groups else None) != before
    ]
