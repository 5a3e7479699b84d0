"""The review queue of a scan as one HTML file that needs nothing else, not even a network.

Everything that comes from a row is escaped by the template, and the page's own security policy
lets no script run but its own and nothing be fetched.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from recognizer._atomic import replacing
from recognizer.model.bundle import Bundle
from recognizer.review.cards import Card, CardMaker
from recognizer.review.guide import make_guides
from recognizer.review.queue import FAILED, SECTIONS, Capacity, Queue, Summary, read_queue
from recognizer.review.reasons import explain_reason
from recognizer.rows.thumbnails import ThumbnailStore, thumbnails_path
from recognizer.taxonomy import Kind

DISCLAIMER = "A lead is no verdict: a photo is no identification."
"""What the page says before anything else."""

_SECTION_NOTES = {
    "priority": ("Priority", "Strong leads: look at these first."),
    "review": ("Review", "Leads: somebody should look."),
    FAILED: ("Failed", "Not scored, and therefore not clear: somebody has to look, or scan again."),
    "clear": ("Clear", "Nothing over a threshold. The highest scores, to see what was passed."),
}


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page; its cards are made one by one while the page is written.

    Attributes:
        name: see :data:`recognizer.review.queue.SECTIONS`.
        title: in words.
        note: what it holds.
        total: its photos.
        shown: those of them that are on the page, on cards of their own or as copies.
        cards_count: how many cards it has; a photo may be shown as a copy on that of another.
        cards: the cards.
    """

    name: str
    title: str
    note: str
    total: int
    shown: int
    cards_count: int
    cards: Iterator[Card]


def write_report(
    rows_path: Path,
    output: Path,
    bundle: Bundle,
    *,
    title: str | None = None,
    capacity: Capacity | None = None,
) -> None:
    """Write the review queue of a scan.

    The thumbnails of leads are those that the scan has kept beside its rows. Where there is none,
    it is made from the photo as it is now; one whose bytes are no longer those that were scored is
    told, not shown. The file is replaced in one step or left as it was.

    Args:
        rows_path: the scan's rows, JSONL.
        output: the HTML file.
        bundle: the model behind the rows: its labels and its evidence.
        title: of the page; None for one made from the name of the rows.
        capacity: how many photos are shown at most; None for the defaults.

    Raises:
        JournalError: the rows cannot be read.
        UsageError: the output cannot be written.
    """
    queue = read_queue(rows_path, bundle, capacity)
    environment = Environment(
        loader=PackageLoader("recognizer", "review"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    kept = thumbnails_path(rows_path)
    # A name that is no Unicode comes with lone surrogates, which UTF-8 cannot hold.
    with (
        ThumbnailStore(kept, create=False) if kept.exists() else nullcontext() as store,
        replacing(output) as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        context = _context(queue, bundle, title or f"Review queue: {rows_path.name}", store)
        file.writelines(environment.get_template("report.html.j2").generate(context))


def _context(
    queue: Queue, bundle: Bundle, title: str, store: ThumbnailStore | None
) -> dict[str, Any]:
    script = _resource("report.js.j2")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    summary = queue.summary
    display_name = bundle.taxonomy.display_name
    return {
        "title": title,
        "disclaimer": DISCLAIMER,
        "style": Markup(_resource("report.css.j2")),  # noqa: S704 - ours
        "script": Markup(script),  # noqa: S704 - ours
        "script_digest": digest,
        "summary": summary,
        "leads": [(name, display_name(name), count) for name, count in _ranked(summary.leads)],
        "reasons": [
            (name, explain_reason(name), count) for name, count in _ranked(summary.reasons)
        ],
        "products": _products(bundle),
        "families": [
            (family.name, display_name(family.name, family=True))
            for family in bundle.families
            if len(family.members) > 1
        ],
        "not_recognized": [display_name(name) for name in bundle.not_recognized],
        "other_models": _other_models(summary, bundle),
        "bundle": bundle,
        "guides": make_guides(bundle).values(),
        "sections": list(_sections(queue, bundle, store)),
    }


def _sections(queue: Queue, bundle: Bundle, store: ThumbnailStore | None) -> Iterator[Section]:
    maker = CardMaker(bundle, store)
    for name in SECTIONS:
        entries = queue.sections[name]
        make = maker.line if name == "clear" else maker.card
        title, note = _SECTION_NOTES[name]
        yield Section(
            name,
            title,
            note,
            total=queue.summary.sections[name],
            shown=queue.covered(name),
            cards_count=len(entries),
            cards=map(make, entries),
        )


def _products(bundle: Bundle) -> list[tuple[str, str]]:
    return [
        (label.name, bundle.taxonomy.display_name(label.name))
        for label in bundle.labels
        if label.kind is Kind.PRODUCT
    ]


def _other_models(summary: Summary, bundle: Bundle) -> bool:
    """Whether some rows come from another model than the one whose evidence the page tells."""
    return any(digest != bundle.digest for _, _, digest in summary.models)


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _resource(name: str) -> str:
    return (resources.files("recognizer.review") / name).read_text(encoding="utf-8")
