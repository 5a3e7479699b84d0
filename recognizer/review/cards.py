"""What the page says of one image: a card for a lead or a failure, a line for a clear image.

Plain values for the template, which alone writes HTML and escapes all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from recognizer.model.bundle import Bundle
from recognizer.policy import CandidateKind, Decision, Lead
from recognizer.review.card_images import CardImage, make_card_image
from recognizer.review.guide import Guide, explain_reason, make_guides
from recognizer.review.queue import Entry
from recognizer.rows.row import Row
from recognizer.rows.thumbnails import THUMBNAIL_SIDE, ThumbnailStore
from recognizer.status import Reason, Status
from recognizer.taxonomy import Kind

LINE_SIDE = 96
MAX_BARS = 4  # beyond those of the leads
MIN_SCORE = 0.01  # below this a bar would be empty
MAX_BOXES = 6  # more than this hides the image


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A score as a bar; ``lead``: whether it is over its threshold."""

    name: str
    score: float
    lead: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A region over the thumbnail, in percent of its width and height."""

    name: str
    score: float
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One image; ``link`` is None where the file is not what was scored."""

    row: Row
    copies: tuple[Row, ...]
    copy_count: int
    name: str
    link: str | None
    thumbnail: CardImage
    boxes: tuple[Box, ...]
    facts: str
    problem: str | None
    bars: tuple[Bar, ...]
    products: tuple[str, ...]
    families: tuple[str, ...]
    guides: tuple[Guide, ...]


class CardMaker:
    """Makes cards from the rows of one scan, with the thumbnails that it has kept."""

    def __init__(self, bundle: Bundle, store: ThumbnailStore | None = None) -> None:
        self._store = store
        self._products = [label.name for label in bundle.labels if label.kind is Kind.PRODUCT]
        self._members = {family.name: family.members for family in bundle.families}
        self._family_of = {
            member: family.name for family in bundle.families for member in family.members
        }
        self._guides = make_guides(bundle)
        self._display_name = bundle.taxonomy.display_name

    def card(self, entry: Entry) -> Card:
        """Make the card of a lead or a failure."""
        return self._make(entry, THUMBNAIL_SIDE, self._store)

    def line(self, entry: Entry) -> Card:
        """Make a line of the clear images: two bars, the best product and the best label."""
        scores = entry.row.scores or {}
        card = self._make(entry, LINE_SIDE, None)
        best = max(scores, key=lambda name: scores[name], default=None)
        shown = [*card.products, *([best] if best is not None else [])]
        return replace(card, bars=tuple(self._bar(name, scores[name]) for name in shown))

    def _make(self, entry: Entry, side: int, store: ThumbnailStore | None) -> Card:
        row = entry.row
        thumbnail = CardImage()
        if row.reason is Reason.NO_IMAGE:
            thumbnail = CardImage(missing=explain_reason(row.reason))
        elif row.decision is not Decision.UNSCORED:
            frame = row.regions[0].frame if row.regions else None
            thumbnail = make_card_image(row.source, row.sha256, side=side, frame=frame, store=store)
        products = self._shown_products(row)
        is_there = thumbnail.uri and thumbnail.note is None
        return Card(
            row=row,
            copies=entry.copies,
            copy_count=entry.copy_count,
            name=PurePath(row.source).name or row.source,
            link=Path(row.source).absolute().as_uri() if is_there else None,
            thumbnail=thumbnail,
            boxes=self._boxes(row, thumbnail),
            facts=_facts(row, thumbnail),
            problem=None if row.status is Status.OK else explain_reason(row.reason),
            bars=self._bars(row),
            products=products,
            families=tuple(dict.fromkeys(self._family_of.get(p, p) for p in products)),
            guides=tuple(self._guides[p] for p in products if p in self._guides),
        )

    def _shown_products(self, row: Row) -> tuple[str, ...]:
        scores = row.scores or {}
        if row.decision is Decision.CLEAR:
            names, count = [name for name in self._products if name in scores], 1
        else:
            names, count = self._lead_products(row), None
        ranked = sorted(dict.fromkeys(names), key=lambda name: -scores.get(name, 0.0))
        return tuple(ranked[:count])

    def _lead_products(self, row: Row) -> list[str]:
        """Return the lead labels, and all products of a family of which none is a lead itself."""
        labels = [lead.name for lead in row.leads if not _is_family(lead)]
        families = [self._members.get(lead.name, ()) for lead in row.leads if _is_family(lead)]
        alone = [members for members in families if not set(labels) & set(members)]
        return [*labels, *(member for members in alone for member in members)]

    def _bars(self, row: Row) -> tuple[Bar, ...]:
        scores = row.scores or {}
        leads = sorted(row.leads, key=lambda lead: not _is_family(lead))  # families first
        names = {lead.name for lead in leads if not _is_family(lead)}
        others = sorted(
            (name for name in scores if name not in names and scores[name] >= MIN_SCORE),
            key=lambda name: -scores[name],
        )
        return (
            *(
                Bar(
                    name=self._display_name(lead.name, family=_is_family(lead))
                    + " (family)" * _is_family(lead),
                    score=lead.score,
                    lead=True,
                )
                for lead in leads
            ),
            *(self._bar(name, scores[name]) for name in others[: max(1, MAX_BARS - len(names))]),
        )

    def _bar(self, name: str, score: float) -> Bar:
        return Bar(name=self._display_name(name), score=score, lead=False)

    def _boxes(self, row: Row, thumbnail: CardImage) -> tuple[Box, ...]:
        if not thumbnail.uri or not row.width or not row.height:
            return ()
        across, down = 100 / row.width, 100 / row.height
        found = []
        for region in row.regions:
            if region.frame == thumbnail.frame:
                left, top, right, bottom = region.box
                box = Box(
                    name=self._display_name(region.label),
                    score=region.score,
                    left=left * across,
                    top=top * down,
                    width=(right - left) * across,
                    height=(bottom - top) * down,
                )
                found.append(box)
        return tuple(found[:MAX_BOXES])


def _is_family(lead: Lead) -> bool:
    return lead.kind is CandidateKind.FAMILY


def _facts(row: Row, thumbnail: CardImage) -> str:
    facts = []
    if row.width and row.height:
        facts.append(f"{row.width} × {row.height} pixels")  # noqa: RUF001 - the sign of sizes
    if row.format:
        facts.append(row.format.upper())
    if (row.frames or 1) > 1:
        shown = f", number {thumbnail.frame} is shown" if thumbnail.uri else ""
        facts.append(f"{row.frames} frames{shown}")
    return ", ".join(facts)
