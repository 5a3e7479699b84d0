"""What the page says of a listing: plain values for the template, which escapes all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from recognizer.model.bundle import Bundle
from recognizer.policy import CandidateKind, Decision, Policy
from recognizer.review.guide import Guide, make_guides
from recognizer.review.server.photos import Photos
from recognizer.review.server.queue import Entry, Group, Queue
from recognizer.review.server.records import Said
from recognizer.review.server.tables import AUDIT
from recognizer.review.server.views import OPEN
from recognizer.review.texts import Texts
from recognizer.rows.listings import Listing
from recognizer.rows.row import Row
from recognizer.status import Reason, Status
from recognizer.taxonomy import Kind, Taxonomy, load_taxonomy

MAX_LABELS = 6  # more would crowd out what they are about
MAX_INSTEAD = 4
MAX_BOXES = 8  # more than this hides the image
_MIN_SCORE = 0.02  # below this a bar would be empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A score, with its threshold where it is over one; ``name`` is for people."""

    label: str
    name: str
    score: float
    threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """An image of a listing; ``counts``: whether a decision is about it."""

    number: int
    row: Row
    name: str
    counts: bool
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A label that a reviewer can choose; ``key`` is the digit for it, if there is one."""

    label: str
    name: str
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A listing; in the audit sample nothing of its scores is there until it is decided."""

    entry: Entry
    listing: Listing
    photos: tuple[Photo, ...]
    blind: bool
    may_decide: bool
    leads: tuple[Bar, ...]
    instead: tuple[Bar, ...]
    choices: tuple[Choice, ...]
    other_choices: tuple[Choice, ...]
    guides: tuple[Guide, ...]
    action: str | None
    columns: tuple[tuple[str, Any], ...]
    copies: Group
    seller: Group
    said: tuple[Said, ...]


class CardMaker:
    """Makes the cards of a queue.

    Args:
        queue: for what was said, and for the group of a listing.
        photos: for the models behind the rows.
        policy: for what the platform does at a level; None where nobody said.
    """

    def __init__(self, queue: Queue, photos: Photos, policy: Policy | None = None) -> None:
        self._queue = queue
        self._photos = photos
        self._actions: Mapping[Decision, str] = policy.actions if policy else {}
        self._guides: dict[str, dict[str, Guide]] = {}

    def card(self, entry: Entry, reviewer: str, texts: Texts) -> Card:
        """Make the card of a listing for a reviewer."""
        images = self._queue.index.rows_of(entry.key)
        rows = [row for _, row in images]
        listing = Listing.from_rows(entry.name, rows)
        bundle = next(filter(None, map(self._photos.bundle_of, rows)), None)
        taxonomy = bundle.taxonomy if bundle else load_taxonomy()
        blind = entry.section == AUDIT and entry.state == OPEN
        leads = () if blind else _leads(listing, taxonomy, texts)
        instead = () if blind else _instead(listing, leads, taxonomy, texts)
        choices = _choices([*leads, *instead], taxonomy, texts)
        return Card(
            entry=entry,
            listing=listing,
            photos=_photos(images, entry, texts),
            blind=blind,
            may_decide=entry.held_by == reviewer,
            leads=leads,
            instead=instead,
            choices=choices,
            other_choices=_other_choices(choices, taxonomy, texts),
            guides=() if blind or bundle is None else self._guides_of(listing, bundle),
            action=None if blind else self._actions.get(entry.level),
            columns=tuple(
                (key, value)
                for key, value in (listing.item or {}).items()
                if value not in (None, "")
            ),
            copies=self._queue.group(entry, "copies", reviewer),
            seller=self._queue.group(entry, "seller", reviewer),
            said=() if blind else tuple(self._queue.records.said_of(entry)),
        )

    def _guides_of(self, listing: Listing, bundle: Bundle) -> tuple[Guide, ...]:
        if bundle.digest not in self._guides:
            self._guides[bundle.digest] = make_guides(bundle)
        guides = self._guides[bundle.digest]
        members = {family.name: family.members for family in bundle.families}
        names: dict[str, None] = {}
        for lead in listing.leads:
            if lead.kind is CandidateKind.LABEL:
                names[lead.name] = None
            elif not names.keys() & {*members.get(lead.name, ())}:
                scores = listing.scores or {}
                best = max(members.get(lead.name, ()), key=lambda n: scores.get(n, 0), default=None)
                names |= {best: None} if best else {}
        return tuple(guides[name] for name in names if name in guides)[:3]


def _photos(images: list[tuple[int, Row]], entry: Entry, texts: Texts) -> tuple[Photo, ...]:
    ranked = sorted(images, key=lambda image: (image[0] != entry.best, not image[1].is_image_lead))
    return tuple(
        Photo(
            number=number,
            row=row,
            name=PurePath(row.source).name or row.source,
            counts=row.is_image_lead,
            problem=None if row.status is Status.OK else texts.reason(row.reason),
        )
        for number, row in ranked
        if row.reason is not Reason.NO_IMAGE
    )


def _leads(listing: Listing, taxonomy: Taxonomy, texts: Texts) -> tuple[Bar, ...]:
    bars = []
    for lead in listing.leads:
        is_family = lead.kind is CandidateKind.FAMILY
        bars.append(
            Bar(
                label="" if is_family else lead.name,
                name=texts.label(lead.name, taxonomy, family=is_family, mark=True),
                score=lead.score,
                threshold=lead.threshold,
            )
        )
    return tuple(bars)


def _instead(
    listing: Listing, leads: tuple[Bar, ...], taxonomy: Taxonomy, texts: Texts
) -> tuple[Bar, ...]:
    """Return the highest scores other than those of leads: look-alikes, animals, other products."""
    named = {bar.label for bar in leads}
    ranked = sorted((listing.scores or {}).items(), key=lambda pair: -pair[1])
    return tuple(
        Bar(label=label, name=texts.label(label, taxonomy), score=score)
        for label, score in ranked
        if label not in named and score >= _MIN_SCORE
    )[:MAX_INSTEAD]


def _choices(bars: list[Bar], taxonomy: Taxonomy, texts: Texts) -> tuple[Choice, ...]:
    labels = dict.fromkeys(bar.label for bar in bars if bar.label)
    for bar in bars:  # what the leads are confused with, though it scored low
        if bar.label in taxonomy.labels:
            labels |= dict.fromkeys(taxonomy.labels[bar.label].confused_with)
    return tuple(
        Choice(label=label, name=texts.label(label, taxonomy), key=str(place))
        for place, label in enumerate([*labels][:MAX_LABELS], 1)
    )


def _other_choices(
    choices: tuple[Choice, ...], taxonomy: Taxonomy, texts: Texts
) -> tuple[Choice, ...]:
    shown = {choice.label for choice in choices}
    return tuple(
        Choice(label=label.name, name=texts.label(label.name, taxonomy))
        for label in sorted(taxonomy.labels.values(), key=lambda one: one.kind is not Kind.PRODUCT)
        if label.name not in shown
    )
