"""The review queue of a scan as one HTML file that needs nothing else, not even a network.

Everything that comes from a row is escaped by the template, and the page's own security policy
runs no script but its own and fetches nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined

from recognizer._atomic import replacing
from recognizer.model.bundle import Bundle
from recognizer.policy import Decision
from recognizer.review.cards import CardMaker
from recognizer.review.guide import REASONS, make_guides
from recognizer.review.queue import SECTIONS, Capacity, Queue
from recognizer.rows.row import Row
from recognizer.rows.thumbnails import ThumbnailStore, thumbnails_path
from recognizer.taxonomy import Kind

Name = TypeVar("Name", bound=str)

DISCLAIMER = "A lead is not a verdict: a photo does not identify a product."
"""What the page says before anything else."""

_NOTES = {
    Decision.PRIORITY: ("Priority", "Strong leads: look at these first."),
    Decision.REVIEW: ("Review", "Leads: somebody should look."),
    Decision.UNSCORED: (
        "Failed",
        "Not scored, and therefore not clear: somebody has to look, or scan again.",
    ),
    Decision.CLEAR: (
        "Clear",
        "Nothing is over a threshold. The highest scores, to check what was not flagged.",
    ),
}


def write_report(
    journal: Path,
    output: Path,
    bundles: Sequence[Bundle],
    *,
    title: str | None = None,
    capacity: Capacity | None = None,
) -> None:
    """Write the review queue of a scan, in one step.

    The thumbnails of leads are those that the scan has kept beside its rows. Where there is none,
    it is made from the file as it is now; where its bytes have changed since, the page says so and
    does not show it. One of the bundles must be the model behind the rows.
    """
    environment = Environment(
        loader=PackageLoader("recognizer", "review"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    kept = thumbnails_path(journal)
    # A name that is not valid text comes with lone surrogates, which UTF-8 cannot hold.
    with (
        Queue(journal, bundles, capacity) as queue,
        ThumbnailStore(kept, create=False) if kept.exists() else nullcontext() as store,
        replacing(output) as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        context = _context(queue, title or f"Review queue: {journal.name}", store)
        file.writelines(environment.get_template("page.html.j2").generate(context))


def _context(queue: Queue, title: str, store: ThumbnailStore | None) -> dict[str, Any]:
    script = _resource("page.js.j2")
    summary, bundle = queue.summary, queue.bundle
    display_name = bundle.taxonomy.display_name
    return {
        "title": title,
        "disclaimer": DISCLAIMER,
        "style": _resource("page.css.j2"),
        "script": script,
        "script_digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        "summary": summary,
        "leads": [(name, display_name(name), count) for name, count in _ranked(summary.leads)],
        "reasons": [(name, REASONS[name], count) for name, count in _ranked(summary.failed)],
        "models": [model for model, _ in summary.models.most_common()],
        "policies": [policy for policy, _ in summary.policies.most_common()],
        "products": [
            (label.name, display_name(label.name))
            for label in bundle.labels
            if label.kind is Kind.PRODUCT
        ],
        "families": [
            (family.name, display_name(family.name, family=True))
            for family in bundle.families
            if len(family.members) > 1
        ],
        "not_recognized": [display_name(name) for name in bundle.not_recognized],
        "other_models": any(model.digest != bundle.digest for model in summary.models),
        "bundle": bundle,
        "columns": _columns,
        "guides": make_guides(bundle).values(),
        "sections": list(_sections(queue, store)),
    }


def _sections(queue: Queue, store: ThumbnailStore | None) -> Iterator[dict[str, Any]]:
    """Yield the parts of the page; their cards are made one by one while it is written."""
    maker = CardMaker(queue.bundle, store)
    for name in SECTIONS:
        make = maker.line if name is Decision.CLEAR else maker.card
        title, note = _NOTES[name]
        yield {
            "name": name,
            "title": title,
            "note": note,
            "total": queue.summary.sections[name],
            "shown": queue.covered(name),  # on cards of their own or as copies
            "cards_count": queue.count(name),
            "cards": map(make, queue.entries(name)),
        }


def _columns(row: Row) -> list[tuple[str, object]]:
    """Return the listing's own columns that have a value."""
    return [(key, value) for key, value in (row.item or {}).items() if value is not None]


def _ranked(counts: Counter[Name]) -> list[tuple[Name, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _resource(name: str) -> str:
    return (resources.files("recognizer.review") / name).read_text(encoding="utf-8")
