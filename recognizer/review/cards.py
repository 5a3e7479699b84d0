"""What the page says of one listing: a card for a lead or a failure, a line for a clear one.

Plain values for the template, which alone writes HTML and escapes all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from recognizer.listing_columns import as_text, as_url, listing_of
from recognizer.model.bundle import Bundle
from recognizer.policy import CandidateKind, Decision, Lead
from recognizer.review.card_images import CardImage, make_card_image
from recognizer.review.guide import Guide, make_guides
from recognizer.review.outcomes import Occasion, images_in_question, listing_identity
from recognizer.review.queue import Entry
from recognizer.review.texts import Texts
from recognizer.rows.listings import Listing
from recognizer.rows.ranking import Ranking
from recognizer.rows.row import Row
from recognizer.rows.thumbnails import THUMBNAIL_SIDE, ThumbnailStore
from recognizer.status import Reason, Status
from recognizer.taxonomy import Kind

LINE_SIDE = 96
MAX_BARS = 4  # beyond those of the leads
MIN_SCORE = 0.01  # below this a bar would be empty
MAX_BOXES = 6  # more than this hides the image
MAX_SMALL = 6  # other images of a listing that are shown
MAX_SEARCHED = 4000  # characters of a listing's columns


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
    """One listing, or an image that belongs to none; ``row`` is that of its strongest image.

    Attributes:
        row: of the strongest image.
        entry: of the queue.
        name: the title of the listing, else the name of the file.
        link: to the strongest image; None where the file is not what was scored.
        url: of the listing; None where there is none that may be linked to.
        thumbnail: of the strongest image.
        others: thumbnails of the other images, with their names.
        more_images: how many there are beyond those.
        boxes: regions over the thumbnail.
        facts: about the image, in words.
        problem: why it is not ok, in words.
        bars: the highest scores.
        products: that it may show, and their ``families``.
        guides: on these products.
        verdict: what an outcome names: images, listing and occasion, as JSON.
        copies_verdict: the same for each near-copy, as a JSON list.
        searched: all columns of the listing, as one text.
    """

    row: Row
    entry: Entry
    name: str
    link: str | None
    url: str | None
    thumbnail: CardImage
    others: tuple[tuple[CardImage, str], ...]
    more_images: int
    boxes: tuple[Box, ...]
    facts: str
    problem: str | None
    bars: tuple[Bar, ...]
    products: tuple[str, ...]
    families: tuple[str, ...]
    guides: tuple[Guide, ...]
    verdict: str
    copies_verdict: str
    searched: str

    @property
    def listing(self) -> Listing | None:
        """What its images come to."""
        return self.entry.listing


MAX_PAGE_THUMBNAILS = 128 << 20
"""Bytes of thumbnails on one page; those of its 2,700 images usually take a third of it."""


class CardMaker:
    """Makes cards from the rows of one scan, with the thumbnails that it has kept."""

    def __init__(
        self, bundle: Bundle, store: ThumbnailStore | None = None, texts: Texts | None = None
    ) -> None:
        self._store = store
        self._texts = texts or Texts("en", "page")
        self._taxonomy = bundle.taxonomy
        self._ranking = Ranking(bundle)
        self._thumbnail_bytes = 0
        self._products = [label.name for label in bundle.labels if label.kind is Kind.PRODUCT]
        self._members = {family.name: family.members for family in bundle.families}
        self._family_of = {
            member: family.name for family in bundle.families for member in family.members
        }
        self._guides = make_guides(bundle)

    def card(self, entry: Entry) -> Card:
        """Make the card of a lead or a failure."""
        others = [row for row in entry.photos if row.source != entry.row.source]
        shown = [(self._small(row), PurePath(row.source).name) for row in others[:MAX_SMALL]]
        images = entry.listing.images if entry.listing else 1
        return replace(
            self._make(entry, THUMBNAIL_SIDE, self._store),
            others=tuple(shown),
            more_images=max(0, len(others) - MAX_SMALL, images - 1 - len(shown)),
        )

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
            thumbnail = CardImage(missing=self._texts.reason(row.reason))
        elif row.decision is not Decision.UNSCORED:
            thumbnail = self._thumbnail(row, side, store)
        products = self._shown_products(row)
        is_there = thumbnail.uri and thumbnail.note is None
        title = entry.listing.title if entry.listing else None
        return Card(
            row=row,
            entry=entry,
            name=title or PurePath(row.source).name or row.source,
            link=Path(row.source).absolute().as_uri() if is_there else as_url(row.source),
            url=entry.listing.url if entry.listing else None,
            thumbnail=thumbnail,
            others=(),
            more_images=0,
            boxes=self._boxes(row, thumbnail),
            facts=_facts(row, thumbnail, self._texts),
            problem=None if row.status is Status.OK else self._texts.reason(row.reason),
            bars=self._bars(row),
            products=products,
            families=tuple(dict.fromkeys(self._family_of.get(p, p) for p in products)),
            guides=tuple(self._guides[p] for p in products if p in self._guides),
            verdict=json.dumps(_verdict(row, entry.photos)),
            copies_verdict=json.dumps([_verdict(copy, (copy,)) for copy in entry.copies]),
            searched=_searched(entry),
        )

    def _small(self, row: Row) -> CardImage:
        if row.status is Status.FAILED:
            return CardImage(missing=self._texts.reason(row.reason))
        return self._thumbnail(row, LINE_SIDE, self._store)

    def _thumbnail(self, row: Row, side: int, store: ThumbnailStore | None) -> CardImage:
        if self._thumbnail_bytes >= MAX_PAGE_THUMBNAILS:
            return CardImage(missing=self._texts("page_full"))
        frame = row.regions[0].frame if row.regions else None
        image = make_card_image(row.source, row.sha256, side=side, frame=frame, store=store)
        self._thumbnail_bytes += len(image.uri or "")
        return image

    def _shown_products(self, row: Row) -> tuple[str, ...]:
        scores = row.scores or {}
        if row.decision is Decision.CLEAR:
            names, count = [name for name in self._products if name in scores], 1
        else:
            names, count = self._lead_products(row), None
        ranked = sorted(
            dict.fromkeys(names),
            key=lambda name: (self._ranking.is_unproven(name), -scores.get(name, 0.0)),
        )
        return tuple(ranked[:count])

    def _lead_products(self, row: Row) -> list[str]:
        """Return the lead labels, and all products of a family of which none is a lead itself."""
        labels = [lead.name for lead in row.leads if not _is_family(lead)]
        families = [self._members.get(lead.name, ()) for lead in row.leads if _is_family(lead)]
        alone = [members for members in families if not set(labels) & set(members)]
        return [*labels, *(member for members in alone for member in members)]

    def _bars(self, row: Row) -> tuple[Bar, ...]:
        scores = row.scores or {}
        leads = sorted(  # families first, but what has no evidence last
            self._ranking.sorted(row.leads),
            key=lambda lead: (
                self._ranking.is_unproven(lead.name, lead.kind),
                not _is_family(lead),
            ),
        )
        names = {lead.name for lead in leads if not _is_family(lead)}
        others = sorted(
            (name for name in scores if name not in names and scores[name] >= MIN_SCORE),
            key=lambda name: (self._ranking.is_unproven(name), -scores[name]),
        )
        return (
            *(
                Bar(
                    name=self._texts.label(
                        lead.name, self._taxonomy, family=_is_family(lead), mark=True
                    ),
                    score=lead.score,
                    lead=True,
                )
                for lead in leads
            ),
            *(self._bar(name, scores[name]) for name in others[: max(1, MAX_BARS - len(names))]),
        )

    def _bar(self, name: str, score: float) -> Bar:
        return Bar(name=self._texts.label(name, self._taxonomy), score=score, lead=False)

    def _boxes(self, row: Row, thumbnail: CardImage) -> tuple[Box, ...]:
        if not thumbnail.uri or not row.width or not row.height:
            return ()
        across, down = 100 / row.width, 100 / row.height
        found = []
        for region in row.regions:
            if region.frame == thumbnail.frame:
                left, top, right, bottom = region.box
                box = Box(
                    name=self._texts.label(region.label, self._taxonomy),
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


def _facts(row: Row, thumbnail: CardImage, texts: Texts) -> str:
    facts = []
    if row.width and row.height:
        facts.append(texts("pixels", width=str(row.width), height=str(row.height)))
    if row.format:
        facts.append(row.format.upper())
    if (row.frames or 1) > 1:
        facts.append(texts("frames", n=row.frames))
        if thumbnail.uri:
            facts.append(texts("frame", n=thumbnail.frame))
    return ", ".join(facts)


def _verdict(row: Row, photos: Iterable[Row]) -> dict[str, Any]:
    """Return what an outcome about a listing names: the images that it is about, and itself."""
    is_audit, own = row.audit is not None, listing_of(row.item)
    images = images_in_question(photos)
    if not images and (is_audit or own is None):
        images = [one for one in (row.sha256,) if one]
    name = own or (None if images else row.source)
    return {
        "images": images,
        "listing": None if name is None else listing_identity(name),
        "occasion": (Occasion.AUDIT if is_audit else Occasion.REVIEW).value,
    }


def _searched(entry: Entry) -> str:
    columns = [text for value in (entry.row.item or {}).values() if (text := as_text(value))]
    sources = [row.source for row in (*entry.photos, *entry.copies)]
    copies = [copy.item.values() for copy in entry.copies if copy.item]
    others = [text for values in copies for value in values if (text := as_text(value))]
    return _clean(" ".join([*columns, *sources, *others]))[:MAX_SEARCHED]


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
