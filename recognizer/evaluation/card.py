"""The model card, made from ``bundle.json`` and the evaluation.

No figure is written by hand but in the notes of whoever releases the model: what they know of its
data and of its failures, and nobody could compute.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2

from recognizer.dataset.licenses import LicenseCount
from recognizer.evaluation.evaluate import Evaluation
from recognizer.evaluation.metrics import percent

FAILURES_FILE = "failures.jpg"
SOURCES_FILE = "sources.csv"


def render_card(
    description: Mapping[str, Any],
    evaluation: Evaluation,
    seen: Evaluation,
    licenses: Mapping[str, LicenseCount],
    *,
    failures: bool,
    notes: str = "",
) -> str:
    """Return the model card as Markdown.

    Args:
        description: the content of ``bundle.json``, with its evidence.
        evaluation: the figures on the test split.
        seen: the figures on the validation split.
        licenses: of the photos.
        failures: whether :data:`FAILURES_FILE` lies beside the card.
        notes: Markdown, for the section on known weaknesses.
    """
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown for a file, from our own data
    )
    template = resources.files("recognizer.evaluation") / "model_card.md.j2"
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        bundle=description,
        evaluation=evaluation,
        seen=seen,
        licenses=licenses,
        failures=FAILURES_FILE if failures else None,
        sources=SOURCES_FILE,
        percent=percent,
        notes=notes.strip(),
    )
