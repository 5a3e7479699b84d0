"""What the pages of the server and of the report are rendered with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from recognizer.model.bundle import Bundle
from recognizer.review.entries import Entries
from recognizer.review.texts import Texts
from recognizer.review.views import AUDIT, STATES, View
from recognizer.rows.listings import QUEUE_ORDER
from recognizer.taxonomy import load_taxonomy


def environment() -> Environment:
    """Return the environment of the templates, which escape every value."""
    return Environment(
        loader=PackageLoader("recognizer.review"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def base_context(texts: Texts, bundles: Sequence[Bundle], *, is_report: bool) -> dict[str, Any]:
    """Return what every page needs; the addresses of a report are in its fragment."""
    return {
        "t": texts,
        "script_texts": texts.of_script,
        "is_report": is_report,
        "base": "#" if is_report else "",
        "view": View(),
        "product_name": partial(product_name, bundles, texts),
        "query": lambda view, **changes: urlencode(view.to_query(**changes)),
        "AUDIT": AUDIT,
    }


def product_name(bundles: Sequence[Bundle], texts: Texts, name: str) -> str:
    """Return the name of a label, or of a family, for people."""
    taxonomy = bundles[0].taxonomy if bundles else load_taxonomy()
    return texts.label(name, taxonomy, family=name not in taxonomy.labels)


def filters(entries: Entries, bundles: Sequence[Bundle], texts: Texts) -> dict[str, Any]:
    """Return what the form of filters offers."""
    return {
        "products": [
            (name, product_name(bundles, texts, name), n) for name, n in entries.choices("product")
        ],
        "locations": entries.choices("location"),
        "levels": [str(level) for level in QUEUE_ORDER[:3]],
        "states": [*STATES, "all"],
    }
