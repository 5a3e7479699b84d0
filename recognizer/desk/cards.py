"""The content of pages and cards: plain values for the templates, which escape all of them."""

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from recognizer._files import csv_cell
from recognizer.desk.entries import MAX_GROUP, Entries, Entry, Image
from recognizer.desk.photos import Photos, heat_threshold
from recognizer.desk.views import AUDIT, SORTS, STATES, View
from recognizer.errors import counted
from recognizer.model.bundle import Bundle
from recognizer.policy.values import QUEUE_ORDER, CandidateKind, Lead
from recognizer.rows.identity import shown_place
from recognizer.rows.listings import Listing
from recognizer.rows.row import Row
from recognizer.status import Status
from recognizer.taxonomy import Kind, Label, Taxonomy, load_taxonomy

_SAME = ("title", "seller", "price", "level", "product", "score", "reports", "state")
COLUMNS = {"listing": "name", **dict(zip(_SAME, _SAME, strict=True)), "reviewer": "judge"}
COLUMNS |= {"scanned": "first", "listed": "listed", "source": "source"}
"""The columns of the list as CSV, and the fields of an entry that are in them."""

PHOTOS_ON_A_CARD = 40  # the desk has pages of them, the report only the first
MAX_SEARCHED = 4000  # characters of a listing's columns, in a report

_NAMES = {"unscored": "Not scored", "audit": "Audit sample"}

MAX_LABELS, MAX_INSTEAD, MAX_GUIDES = 6, 4, 3  # more would crowd out what they are about
_MIN_SCORE = 0.02  # below this a bar would be empty


def named(key: str) -> str:
    """Return the name of a level, a state or a column on the pages."""
    return _NAMES.get(key, key.capitalize())


def ago(time: datetime) -> str:
    """Return how long ago something was, in the largest unit that fits."""
    days = (datetime.now(UTC) - time).days
    for unit, length in (("year", 365), ("month", 30), ("week", 7), ("day", 1)):
        if days >= length:
            return f"{counted(days // length, unit)} ago"
    return "today"


ENVIRONMENT = Environment(
    loader=PackageLoader("recognizer.desk"),
    autoescape=select_autoescape(["html.j2"], default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.globals |= {"counted": counted, "filtered": (PHOTOS_ON_A_CARD, MAX_SEARCHED, MAX_GROUP)}
ENVIRONMENT.filters |= {"named": named, "ago": ago, "shown_place": shown_place}


class Bar(NamedTuple):
    """The score of a label, with its threshold if that is drawn; a lead has these fields, too."""

    name: str
    score: float
    threshold: float | None = None
    kind: CandidateKind = CandidateKind.LABEL


class CardMaker:
    """Makes the cards of listings, whose pictures are fetched by the keys of their images."""

    is_report = False

    def __init__(self, entries: Entries, photos: Photos) -> None:
        self._entries = entries
        self._photos = photos
        bundles = photos.bundles.values()
        self._taxonomies = [*(bundle.taxonomy for bundle in bundles), load_taxonomy()]
        self.labels = {name for taxonomy in self._taxonomies for name in taxonomy.labels}

    def context(self, path: str, reviewer: str | None) -> dict[str, Any]:
        """Return what every page needs; the addresses of a report are in its fragment."""

        def product_name(name: str) -> str:
            known = (found for found in self._taxonomies if name in found.labels)
            taxonomy = next(known, self._taxonomies[0])
            return taxonomy.display_name(name, family=name not in taxonomy.labels)

        has = self._entries.columns()
        has["state"] |= not self.is_report  # which a verdict at the desk changes
        return {
            "is_report": self.is_report,
            "has": has,
            "noun": "listing" if has["listing"] else "photo",
            "path": path,
            "base": "#" if self.is_report else "",
            "view": View(),
            "reviewer": reviewer,
            "policy": self._photos.policy,
            "product_name": product_name,
            "AUDIT": AUDIT,
            "levels": QUEUE_ORDER[:3],
            "sorts": [*SORTS],
            "states": STATES,
            "hidden_tabs": {"/listings", "/shift"} if self.is_report else {"/summary"},
        }

    def filters(self, view: View) -> dict[str, Any]:
        """Return the values that the filters offer, with how many listings of a view have each."""
        choices = self._entries.choices
        return {"choices": {name: choices(name, view) for name in ("product", "location")}}

    def table(self, view: View) -> bytes:
        """Return the listings of a view as CSV, all near-copies too."""
        (buffer := io.StringIO()).write("\ufeff")  # by which spreadsheets know UTF-8
        writer = csv.writer(buffer)
        writer.writerow(COLUMNS)
        for entry in self._entries.page(view, size=1_000_000, fold=False)[0]:
            hidden = {"level", "product", "score"} if entry.section == AUDIT else ()
            writer.writerow(
                None if field in hidden else csv_cell(getattr(entry, field))
                for field in COLUMNS.values()
            )
        return buffer.getvalue().encode("utf-8", "backslashreplace")

    def picture(self, image: Image) -> dict[str, Any]:
        """Return the addresses of the pictures of an image."""
        if image.row.status is Status.FAILED:  # the page says why
            return {"image": image, "src": "", "missing": ""}
        kinds = {"src": "large", "small": "small", "original": "original"}
        addresses = {name: f"/photo/{image.key}/{kind}" for name, kind in kinds.items()}
        return {"image": image, "missing": "", **addresses}

    def card(self, entry: Entry, reviewer: str | None = None) -> dict[str, Any]:
        """Return what ``card.html.j2`` shows of a listing; of a blind one nothing of its scores."""
        strip = self.strip(entry)
        rows = [photo["image"].row for photo in strip["photos"]]
        listing = Listing.from_rows(entry.name, rows, product=entry.product, score=entry.score)
        found = map(self._photos.bundles.get, (row.model.digest for row in rows))
        bundle = next(filter(None, found), None)
        leads = [] if entry.is_blind else _ranked(listing.leads, entry)
        instead = [bar for photo in strip["photos"][:1] for bar in photo["instead"]]
        taxonomy = bundle.taxonomy if bundle else load_taxonomy()
        choices, others = _choices([*leads, *instead], taxonomy)
        return {
            "listing": listing,
            "strip": strip,
            "leads": leads,
            "choices": choices,
            "other_choices": others,
            "guides": _guides(leads, listing, bundle) if bundle else (),
            "bundle": bundle,
            "outcomes": [] if entry.is_blind or entry.second else self._entries.outcomes_of(entry),
            "members": [] if entry.is_blind else self._entries.members(entry, reviewer),
            "shown": self._entries.shown(entry),
        }

    def strip(self, entry: Entry, page: int = 1) -> dict[str, Any]:
        """Return a page of the photos of a listing, counted from 1."""
        images = self._entries.photos(entry, PHOTOS_ON_A_CARD, (page - 1) * PHOTOS_ON_A_CARD)
        total = self._entries.photo_count(entry)
        pages = max(1, -(-total // PHOTOS_ON_A_CARD))
        judged = dict(self._entries.about(entry))
        for photo in (photos := [self.picture(image) for image in images]):
            row = photo["image"].row
            photo["counts"] = row.sha256 is not None and row.sha256 in judged
            photo["heat"] = None if entry.is_blind or self.is_report else self._heat_of(row)
            photo["leads"] = [] if entry.is_blind else _ranked(row.leads, entry)
            photo["instead"] = [] if entry.is_blind else _instead(row)
        return {"photos": photos, "total": total, "page": page, "pages": pages}

    def _heat_of(self, row: Row) -> Bar | None:
        """Return the label of the highest lead, whose heat-map is shown, if there is one."""
        if row.model.digest not in self._photos.bundles or not row.scores or not row.lead_labels:
            return None
        score, name = max((row.scores.get(name, 0.0), name) for name in row.lead_labels)
        return Bar(name, score, heat_threshold(row, name))


def _ranked(leads: Iterable[Lead], entry: Entry) -> list[Lead]:
    """Return leads, first that by which the listing is ranked: it has evidence behind it."""
    return sorted(leads, key=lambda lead: lead.name != entry.product)


def _guides(leads: Iterable[Lead], listing: Listing, bundle: Bundle) -> list[Label]:
    """Return lead labels, and the likeliest one of families without any."""
    members = {(found.kind, found.name): found.members for found in bundle.candidates}
    scores = listing.scores or {}
    names: list[str] = []
    for lead in leads:
        labels = members.get((lead.kind, lead.name), ())
        if not {*names} & {*labels}:
            names += sorted(labels, key=lambda name: -scores.get(name, 0))[:1]
    return [bundle.taxonomy.labels[name] for name in names[:MAX_GUIDES]]


def _instead(row: Row) -> list[Bar]:
    """Return the highest scores of a photo but for its leads: look-alikes, animals, products."""
    ranked = sorted((row.scores or {}).items(), key=lambda pair: -pair[1])
    others = [bar for bar in ranked if bar[0] not in row.lead_labels and bar[1] >= _MIN_SCORE]
    return [Bar(*bar) for bar in others[:MAX_INSTEAD]]


def _choices(bars: Iterable[Bar | Lead], taxonomy: Taxonomy) -> tuple[list[str], list[str]]:
    """Return the labels that a reviewer is likely to choose, and all others, products first."""
    labels = [bar.name for bar in bars if bar.kind is CandidateKind.LABEL]
    for label in [*labels]:  # what the leads are confused with, though it scored low
        if label in taxonomy.labels:
            labels += taxonomy.labels[label].confused_with
    likely = [*dict.fromkeys(labels)][:MAX_LABELS]
    ranked = sorted(taxonomy.labels.values(), key=lambda label: label.kind is not Kind.PRODUCT)
    return likely, [label.name for label in ranked if label.name not in likely]
