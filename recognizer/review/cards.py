"""What the page says of one photo: a card for a lead or a failure, a line for a clear photo.

Plain values for the template, which alone writes HTML and escapes all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from recognizer.errors import JournalError
from recognizer.model.bundle import Bundle
from recognizer.policy import Decision
from recognizer.review.guide import Guide, make_guides
from recognizer.review.queue import FAILED, Entry
from recognizer.review.reasons import explain_reason
from recognizer.review.thumbnails import Thumbnail, make_thumbnail
from recognizer.rows.thumbnails import THUMBNAIL_SIDE, ThumbnailStore
from recognizer.status import Status
from recognizer.taxonomy import Kind

LINE_SIDE = 96
TOP_SCORES = 4
LEAST_SCORE = 0.01  # below this a bar would be empty
MAX_BOXES = 6  # more than this hides the picture


@dataclass(frozen=True, slots=True)
class Bar:
    """A score as a bar: ``lead`` tells those that made the photo a lead from the others."""

    name: str
    score: float
    lead: bool


@dataclass(frozen=True, slots=True)
class Box:
    """A region over the thumbnail, in percent of its width and height."""

    name: str
    score: float
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Copy:
    """A near-copy that has no card of its own."""

    section: str
    source: str
    item: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Known:
    """A known item that the photo is near, in words."""

    finding: str
    label: str | None
    note: str | None
    origin: str | None
    distance: int
    transform: str


@dataclass(frozen=True, slots=True)
class Card:
    """One photo.

    Attributes:
        section: where it stands.
        name: last part of the source.
        source: the whole of it.
        link: ``file:`` URI of the photo; None where it is not what was scored.
        thumbnail: see :class:`recognizer.review.thumbnails.Thumbnail`.
        boxes: regions in the frame that the thumbnail shows.
        facts: format, size and frames in words.
        status: ``ok``, ``degraded`` or ``failed``.
        reason: the code of why it is not ``ok``; None where it is.
        problem: the same as a sentence.
        detail: the decoder's own words on that.
        bars: the highest scores, those that made it a lead first.
        why: the policy's sentences.
        products: the products it is a lead for; of a clear photo, the one with the highest score.
        families: their families.
        guides: what a reviewer should know of each of them.
        item: the listing's own columns.
        sha256: digest of the file.
        known: the known items that it is near, the nearest first.
        copies: its near-copies, for which the decision on this one can stand.
        copy_count: how many they are, listed or not.
    """

    section: str
    name: str
    source: str
    link: str | None
    thumbnail: Thumbnail
    boxes: tuple[Box, ...]
    facts: str
    status: str
    reason: str | None
    problem: str | None
    detail: str | None
    bars: tuple[Bar, ...]
    why: tuple[str, ...]
    products: tuple[str, ...]
    families: tuple[str, ...]
    guides: tuple[Guide, ...]
    item: tuple[tuple[str, str], ...]
    sha256: str | None
    known: tuple[Known, ...]
    copies: tuple[Copy, ...]
    copy_count: int


class CardMaker:
    """Makes cards from the rows of one scan; a `JournalError` names a row that makes no sense.

    Args:
        bundle: the model behind the rows.
        store: the thumbnails that the scan has kept; None where there are none.
    """

    def __init__(self, bundle: Bundle, store: ThumbnailStore | None = None) -> None:
        self._store = store
        self._products = [label.name for label in bundle.labels if label.kind is Kind.PRODUCT]
        self._families = {
            family.name: family.members for family in bundle.families if len(family.members) > 1
        }
        self._family_of = {
            member: family.name for family in bundle.families for member in family.members
        }
        self._guides = make_guides(bundle)
        self._display_name = bundle.taxonomy.display_name

    def card(self, entry: Entry) -> Card:
        """Make the card of a lead or a failure."""
        return self._make(entry, THUMBNAIL_SIDE, self._store)

    def line(self, entry: Entry) -> Card:
        """Make what a line of the clear photos shows: two bars, the best product and the best."""
        scores: Mapping[str, float] = entry.row["scores"]
        card = self._make(entry, LINE_SIDE, None)
        best = max(scores, key=lambda name: scores[name], default=None)
        shown = [*card.products, *([best] if best is not None else [])]
        return replace(
            card, bars=tuple(Bar(self._display_name(n), scores[n], lead=False) for n in shown)
        )

    def _make(self, entry: Entry, side: int, store: ThumbnailStore | None) -> Card:
        try:
            return self._read(entry, side, store)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            source = entry.row.get("source")
            raise JournalError(f"the row of {source!r} makes no sense: {error!r}") from error

    def _read(self, entry: Entry, side: int, store: ThumbnailStore | None) -> Card:
        row = entry.row
        source = str(row["source"])
        regions: Sequence[Mapping[str, Any]] = row.get("regions") or ()
        if entry.section == FAILED:
            thumbnail = Thumbnail()
        else:
            frame = regions[0].get("frame") if regions else None
            thumbnail = make_thumbnail(
                source, row.get("sha256"), side=side, frame=frame, store=store
            )
        products = self._shown_products(entry)
        status = Status(row["status"])
        return Card(
            section=entry.section,
            name=PurePath(source).name or source,
            source=source,
            link=Path(source).absolute().as_uri()
            if thumbnail.uri and thumbnail.note is None
            else None,
            thumbnail=thumbnail,
            boxes=self._boxes(row, regions, thumbnail),
            facts=_facts(row, thumbnail),
            status=status.value,
            reason=row.get("reason"),
            problem=None if status is Status.OK else explain_reason(row.get("reason")),
            detail=row.get("detail"),
            bars=self._bars(row),
            why=tuple(row.get("why") or ()),
            products=products,
            families=tuple(dict.fromkeys(self._family_of.get(p, p) for p in products)),
            guides=tuple(self._guides[p] for p in products if p in self._guides),
            item=_item(row.get("item")),
            sha256=row.get("sha256"),
            known=tuple(_known(match) for match in row.get("known") or ()),
            copies=tuple(
                Copy(copy.section, str(copy.row["source"]), _item(copy.row.get("item")))
                for copy in entry.copies
            ),
            copy_count=entry.sections.total(),
        )

    def _shown_products(self, entry: Entry) -> tuple[str, ...]:
        row = entry.row
        scores: Mapping[str, float] = row.get("scores") or {}
        if entry.section == Decision.CLEAR:
            ranked = [name for name in self._products if name in scores]
            return tuple(sorted(ranked, key=lambda name: -scores[name])[:1])
        if row.get("labels"):
            return tuple(row["labels"])
        # Over its threshold as a family, though none of its products is for itself.
        members = [m for f in self._lead_families(row) for m in self._families[f] if m in scores]
        return tuple(sorted(members, key=lambda name: -scores[name]))

    def _lead_families(self, row: Mapping[str, Any]) -> list[str]:
        """Return the families of several products that the policy's sentences name."""
        words = {word for sentence in row.get("why") or () for word in sentence.split()}
        scores = row.get("family") or {}
        return [name for name in self._families if name in words and name in scores]

    def _bars(self, row: Mapping[str, Any]) -> tuple[Bar, ...]:
        scores: Mapping[str, float] = row.get("scores") or {}
        leads = row.get("labels") or ()
        bars = [
            Bar(f"{self._display_name(name, family=True)} (family)", row["family"][name], lead=True)
            for name in self._lead_families(row)
        ]
        others = sorted(
            (name for name in scores if name not in leads and scores[name] >= LEAST_SCORE),
            key=lambda name: -scores[name],
        )
        bars += [Bar(self._display_name(name), scores[name], lead=True) for name in leads]
        bars += [
            Bar(self._display_name(name), scores[name], lead=False)
            for name in others[: max(1, TOP_SCORES - len(leads))]
        ]
        return tuple(bars)

    def _boxes(
        self, row: Mapping[str, Any], regions: Sequence[Mapping[str, Any]], thumbnail: Thumbnail
    ) -> tuple[Box, ...]:
        width, height = row.get("width"), row.get("height")
        if not thumbnail.uri or not width or not height:
            return ()
        found = []
        for region in regions:
            if (region.get("frame") or 0) != thumbnail.frame:
                continue
            left, top, right, bottom = (float(edge) for edge in region["box"])
            found.append(
                Box(
                    self._display_name(region["label"]),
                    float(region["score"]),
                    100 * left / width,
                    100 * top / height,
                    100 * (right - left) / width,
                    100 * (bottom - top) / height,
                )
            )
        return tuple(found[:MAX_BOXES])


def _known(match: Mapping[str, Any]) -> Known:
    label = match.get("label")
    return Known(
        str(match["finding"]),
        None if label is None else str(label),
        match.get("note"),
        match.get("origin"),
        int(match["distance"]),
        str(match["transform"]).replace("_", " "),
    )


def _facts(row: Mapping[str, Any], thumbnail: Thumbnail) -> str:
    facts = []
    if row.get("width") and row.get("height"):
        facts.append(f"{row['width']} × {row['height']} pixels")  # noqa: RUF001 - the sign of sizes
    if row.get("format"):
        facts.append(str(row["format"]).upper())
    if (row.get("frames") or 1) > 1:
        shown = f", number {thumbnail.frame} is shown" if thumbnail.uri else ""
        facts.append(f"{row['frames']} frames{shown}")
    return ", ".join(facts)


def _item(item: object) -> tuple[tuple[str, str], ...]:
    if isinstance(item, Mapping):
        return tuple((str(key), str(value)) for key, value in item.items() if value is not None)
    return () if item is None else (("item", str(item)),)
