"""The review queue of a scan as one HTML file that needs nothing else, not even a network.

Everything that comes from a row is escaped by the template, and the page's own security policy
runs no script but its own and fetches nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined

from recognizer._atomic import replacing
from recognizer.model.bundle import Bundle
from recognizer.model.description import BundleLabel
from recognizer.policy import Decision
from recognizer.review.cards import CardMaker
from recognizer.review.guide import make_guides
from recognizer.review.queue import SECTIONS, Capacity, Part, Queue
from recognizer.review.texts import Texts, texts_of
from recognizer.rows.ranking import Ranking
from recognizer.rows.row import Row
from recognizer.rows.thumbnails import ThumbnailStore, thumbnails_path
from recognizer.taxonomy import Kind

Name = TypeVar("Name", bound=str)

DISCLAIMER = texts_of("page")["disclaimer"][0]
"""What the page says before anything else."""

_SCRIPT_TEXTS = (  # that the page's script fills in
    *("shown", "progress", "need_name", "not_kept", "was_exported", "nothing_to_undo"),
    *("nothing_to_export", "unexported", "confirmed", "rejected", "unsure", "escalated"),
)
_MAX_COLUMNS = 50  # of a listing, on a card
_MAX_TEXT = 1000  # characters of one of them


def write_report(
    journal: Path,
    output: Path,
    bundles: Sequence[Bundle],
    *,
    title: str | None = None,
    capacity: Capacity | None = None,
    part: Part | None = None,
    language: str = "en",
) -> None:
    """Write the review queue of a scan, in one step, on which reviewers decide.

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
    kept, texts = thumbnails_path(journal), Texts(language, "page")
    part, capacity = part or Part(), capacity or Capacity()
    # A name that is not valid text comes with lone surrogates, which UTF-8 cannot hold.
    with (
        Queue(journal, bundles, capacity, part) as queue,
        ThumbnailStore(kept, create=False) if kept.exists() else nullcontext() as store,
        replacing(output) as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        context = _context(queue, title or texts("title", name=journal.name), store, texts)
        context |= _limits(queue, capacity, part) | {"digest": _digest(journal)}
        file.writelines(environment.get_template("page.html.j2").generate(context))


def _context(
    queue: Queue, title: str, store: ThumbnailStore | None, texts: Texts
) -> dict[str, Any]:
    script = _resource("page.js.j2")
    summary, bundle = queue.summary, queue.bundle
    ranking = Ranking(bundle)

    def named(name: str) -> str:
        return texts.label(name, bundle.taxonomy)

    leads = sorted(_ranked(summary.leads), key=lambda pair: ranking.is_unproven(pair[0]))
    return {
        "title": title,
        "t": texts,
        "style": _resource("page.css.j2"),
        "script": script,
        "script_texts": json.dumps({key: texts.raw(key) for key in _SCRIPT_TEXTS}),
        "script_digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        "summary": summary,
        "listings": queue.listings,
        "leads": [(name, named(name), count) for name, count in leads],
        "most_leads": max(summary.leads.values(), default=1),
        "reasons": [(name, texts.reason(name), count) for name, count in _ranked(summary.failed)],
        "models": [model for model, _ in summary.models.most_common()],
        "policies": [policy for policy, _ in summary.policies.most_common()],
        "products": [(one.name, named(one.name)) for one in bundle.labels if _is_product(one)],
        "labels": [(name, named(name)) for name in bundle.taxonomy.labels],
        "families": [
            (family.name, texts.label(family.name, bundle.taxonomy, family=True, mark=True))
            for family in bundle.families
            if len(family.members) > 1
        ],
        "not_recognized": [named(name) for name in bundle.not_recognized],
        "other_models": any(model.digest != bundle.digest for model in summary.models),
        "bundle": bundle,
        "columns": _columns,
        "named": named,
        "guides": make_guides(bundle).values(),
        "sections": list(_sections(queue, store, texts)),
        "verdicts": [("c", "confirm"), ("r", "reject"), ("u", "be_unsure"), ("e", "escalate")],
    }


def _is_product(label: BundleLabel) -> bool:
    return label.kind is Kind.PRODUCT


def _limits(queue: Queue, capacity: Capacity, part: Part) -> dict[str, Any]:
    """Return what the page says of leads that it does not show."""
    leads = (Decision.PRIORITY, Decision.REVIEW)
    total, shown = (sum(map(count, leads)) for count in (queue.total, queue.covered))
    parts = part.of * math.ceil(total / max(1, capacity.leads))
    return {"part": part, "leads_total": total, "leads_shown": shown, "parts": max(2, parts)}


def _digest(journal: Path) -> str:
    with journal.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sections(queue: Queue, store: ThumbnailStore | None, texts: Texts) -> Iterator[dict[str, Any]]:
    """Yield the parts of the page; their cards are made one by one while it is written."""
    maker = CardMaker(queue.bundle, store, texts)
    for name in SECTIONS:
        make = maker.line if name is Decision.CLEAR else maker.card
        yield {
            "name": name,
            "total": queue.total(name),
            "shown": queue.covered(name),  # on cards of their own or as copies
            "cards_count": queue.count(name),
            "cards": map(make, queue.entries(name)),
        }


def _columns(row: Row) -> list[tuple[str, str]]:
    """Return the listing's own columns that have a value, not too many and not too long."""
    found = [(key, str(value)) for key, value in (row.item or {}).items() if value is not None]
    shown = [(_shortened(key), _shortened(value)) for key, value in found[:_MAX_COLUMNS]]
    more = len(found) - len(shown)
    return [*shown, ("...", f"{more} more columns in the rows")] if more else shown


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]} ... (the row has all of it)"


def _ranked(counts: Counter[Name]) -> list[tuple[Name, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _resource(name: str) -> str:
    return (resources.files("recognizer.review") / name).read_text(encoding="utf-8")
