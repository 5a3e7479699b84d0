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
from recognizer.rows.scanfile import ScanFile
from recognizer.status import Reason
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


def scan_in_numbers(file: ScanFile) -> dict[str, Any]:
    """Count what ``summary.html.j2`` shows of a scan: of listings, unless it says images."""
    ((images, listings, degraded, begin, end),) = file.select(
        "SELECT ifnull(sum(reason IS NOT 'no_image'), 0), count(DISTINCT unit),"
        " ifnull(sum(status = 'degraded'), 0), substr(min(time), 1, 16), substr(max(time), 1, 16)"
        " FROM image"
    )
    counts = dict(
        file.select("SELECT place, count(*) FROM entry WHERE section = 'queue' GROUP BY 1")
    )
    counts[len(QUEUE_ORDER) - 1] = listings - sum(counts.values())
    failed = file.select(
        "SELECT reason, count(*) FROM image WHERE status = 'failed' AND reason != 'no_image'"
        " GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    return {
        "images": images,
        "listings": listings,
        "levels": [(str(level), counts.get(at, 0)) for at, level in enumerate(QUEUE_ORDER)],
        "products": file.select(
            "SELECT product, count(*) FROM entry WHERE section = 'queue' AND place < 2"
            " AND product IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
        ),
        "degraded": degraded,
        "reasons": [(Reason(name), count) for name, count in failed],
        "models": file.select(
            "SELECT name, version, digest, count(*) FROM image JOIN model ON model.id = model"
            " GROUP BY model.id ORDER BY 4 DESC, 3"
        ),
        "policies": file.select(
            "SELECT name, digest, count(*) FROM image JOIN policy ON policy.id = policy"
            " GROUP BY policy.id ORDER BY 3 DESC, 2"
        ),
        "times": [time.replace("T", " ") for time in dict.fromkeys([begin, end]) if time],
    }


def models_behind(
    summary: dict[str, Any], bundles: Sequence[Bundle], texts: Texts
) -> dict[str, Any]:
    """Return what ``summary.html.j2`` says of the models behind the rows."""
    known = {bundle.digest: bundle for bundle in bundles}
    here = [known[digest] for *_, digest, _ in summary["models"] if digest in known]
    return {
        "not_recognized": [
            (one.title, [texts.label(name, one.taxonomy) for name in one.not_recognized])
            for one in here
            if one.not_recognized
        ],
        "missing_models": [
            f"{name}-v{version}"
            for name, version, digest, _ in summary["models"]
            if digest not in known
        ],
    }
