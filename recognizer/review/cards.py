"""What pages and cards say: plain values for the templates, which escape all of them."""

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any, NamedTuple

from recognizer.model.bundle import Bundle
from recognizer.model.description import counted
from recognizer.policy import CandidateKind, Lead
from recognizer.review.entries import Entries, Entry, Image
from recognizer.review.photos import Photos, heat_threshold
from recognizer.review.texts import Texts
from recognizer.review.views import AUDIT, STATES, View
from recognizer.rows.listings import QUEUE_ORDER, Listing
from recognizer.rows.row import Row
from recognizer.status import Reason
from recognizer.taxonomy import Kind, Label, Taxonomy, load_taxonomy

PHOTOS_ON_A_CARD = 40  # the desk has pages of them, the report only the first

MAX_LABELS = 6  # more would crowd out what they are about
MAX_INSTEAD = 4
MAX_GUIDES = 3
_MIN_SCORE = 0.02  # below this a bar would be empty


def base_context(
    texts: Texts, entries: Entries, photos: Photos, path: str, *, is_report: bool = False
) -> dict[str, Any]:
    """Return what every page needs; the addresses of a report are in its fragment."""
    taxonomies = [*(bundle.taxonomy for bundle in photos.bundles.values()), load_taxonomy()]

    def product_name(name: str) -> str:
        known = (one for one in taxonomies if name in one.labels)
        return texts.label(name, next(known, taxonomies[0]))

    return {
        "t": texts,
        "is_report": is_report,
        "path": path,
        "base": "#" if is_report else "",
        "view": View(),
        "product_name": product_name,
        "AUDIT": AUDIT,
        "choices": entries.choices,
        "levels": QUEUE_ORDER[:3],
        "states": (*STATES, "all"),
    }


def describe_evidence(bundle: Bundle, name: str) -> str | None:
    """Return in words how well a bundle knows a product; None for a label that is none."""
    if bundle.taxonomy.labels[name].kind is not Kind.PRODUCT:
        return None
    if name not in bundle.label_names:
        return "none: this model does not recognise it"
    evidence = bundle.labels[bundle.label_names.index(name)].evidence
    if evidence is None:
        return "not recorded in the bundle"
    train, test = evidence.train, evidence.test
    text = _count(train.photos, train.sources, "training photo")
    if enrolment := evidence.enrolment:
        text = f"{text}: {enrolment.words}" if train.photos else enrolment.words
    if not test.photos:
        return f"{text}; not measured: no test photos"
    text += f"; measured on {_count(test.photos, test.sources, 'test photo')}"
    if found := evidence.average_precision:
        text += f": average precision {found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
    return text


def _count(photos: int, sources: int, noun: str) -> str:
    text = counted(photos, noun)
    return f"{text} from {counted(sources, 'source')}" if photos and sources else text


class Bar(NamedTuple):
    """The score of a label, with its threshold if that is drawn; a lead has these fields, too."""

    name: str
    score: float
    threshold: float | None = None
    kind: CandidateKind = CandidateKind.LABEL


class Shown(NamedTuple):
    """A picture within the page, else why there is none; and where the original is."""

    src: str = ""
    original: str = ""
    missing: str = ""


class CardMaker:
    """Makes the cards of listings, whose pictures are fetched by the keys of their images."""

    def __init__(self, entries: Entries, photos: Photos) -> None:
        self._entries = entries
        self._photos = photos

    def show(self, image: Image) -> Shown | None:
        """Return the picture of an image if the page holds it itself."""

    def card(self, entry: Entry, reviewer: str | None) -> dict[str, Any]:
        """Return what ``card.html.j2`` shows of a listing, with the first page of its photos.

        In the audit sample nothing of its scores is there until it is decided.
        """
        strip = self.strip(entry, 1)
        rows = [image.row for image in strip["images"]]
        listing = Listing.from_rows(entry.name, rows, product=entry.product, score=entry.score)
        bundle = next(
            filter(None, (self._photos.bundles.get(row.model.digest) for row in rows)), None
        )
        taxonomy = bundle.taxonomy if bundle else load_taxonomy()
        blind, policy = entry.is_blind, self._photos.policy
        # First the lead by which the listing is ranked: it has evidence behind it.
        leads = () if blind else sorted(listing.leads, key=lambda one: one.name != entry.product)
        instead = () if blind else _instead(listing)
        choices, other_choices = _choices([*leads, *instead], taxonomy)
        return {
            "entry": entry,
            "listing": listing,
            "strip": strip,
            "blind": blind,
            "may_decide": entry.held_by == reviewer,
            "leads": leads,
            "instead": instead,
            "choices": choices,
            "other_choices": other_choices,
            "guides": () if blind or bundle is None else _guides(listing, bundle),
            "action": policy.actions.get(entry.level) if policy and not blind else None,
            "members": self._entries.members(entry, reviewer),
            "said": () if blind else self._entries.said_of(entry),
        }

    def strip(self, entry: Entry, page: int) -> dict[str, Any]:
        """Return a page of the photos of a listing, counted from 1."""
        offset = (page - 1) * PHOTOS_ON_A_CARD
        images = self._entries.photos(entry, PHOTOS_ON_A_CARD, offset)
        total = self._entries.photo_count(entry)
        return {
            "images": images,
            "photos": [
                {
                    "key": image.key,
                    "row": image.row,
                    "name": PurePath(image.row.source).name or image.row.source,
                    "heat": self._heat(image.row),
                    "shown": self.show(image),
                }
                for image in images
                if image.row.reason is not Reason.NO_IMAGE
            ],
            "total": total,
            "page": page,
            "pages": max(1, -(-total // PHOTOS_ON_A_CARD)),
        }

    def _heat(self, row: Row) -> Bar | None:
        """Return the label whose heat-map is shown: that of the highest lead, else product."""
        bundle = self._photos.bundles.get(row.model.digest)
        if bundle is None or not row.scores:
            return None
        names = [lead.name for lead in row.leads if lead.kind is CandidateKind.LABEL]
        names = names or [one.name for one in bundle.labels if one.kind is Kind.PRODUCT]
        score, name = max((row.scores.get(name, 0.0), name) for name in names)
        return Bar(name, score, heat_threshold(row, bundle, name, self._photos.policy))


def _guides(listing: Listing, bundle: Bundle) -> list[tuple[Label, str | None]]:
    """Return lead labels, and the likeliest one of families without any, with their evidence."""
    members = {(one.kind, one.name): one.members for one in bundle.candidates}
    scores = listing.scores or {}
    names: list[str] = []
    for lead in listing.leads:
        labels = members.get((lead.kind, lead.name), ())
        if not {*names} & {*labels}:
            names += sorted(labels, key=lambda name: -scores.get(name, 0))[:1]
    labels = bundle.taxonomy.labels
    return [(labels[name], describe_evidence(bundle, name)) for name in names[:MAX_GUIDES]]


def _instead(listing: Listing) -> list[Bar]:
    """Return the highest scores other than those of leads: look-alikes, animals, other products."""
    named = {lead.name for lead in listing.leads if lead.kind is CandidateKind.LABEL}
    ranked = sorted((listing.scores or {}).items(), key=lambda pair: -pair[1])
    others = [Bar(*one) for one in ranked if one[0] not in named and one[1] >= _MIN_SCORE]
    return others[:MAX_INSTEAD]


def _choices(bars: Iterable[Bar | Lead], taxonomy: Taxonomy) -> tuple[list[str], list[str]]:
    """Return the labels that a reviewer is likely to choose, and all others, products first."""
    labels = [bar.name for bar in bars if bar.kind is CandidateKind.LABEL]
    for label in [*labels]:  # what the leads are confused with, though it scored low
        if label in taxonomy.labels:
            labels += taxonomy.labels[label].confused_with
    likely = [*dict.fromkeys(labels)][:MAX_LABELS]
    ranked = sorted(taxonomy.labels.values(), key=lambda label: label.kind is not Kind.PRODUCT)
    return likely, [label.name for label in ranked if label.name not in likely]
