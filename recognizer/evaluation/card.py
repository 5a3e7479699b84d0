"""The model card, made from ``bundle.json`` and the evaluation.

No figure is written by hand but in the notes of whoever releases the model: what they know of its
data and of its failures, and nobody could compute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING

import jinja2

from recognizer.dataset.licenses import LicenseCount
from recognizer.evaluation.evaluate import Evaluation
from recognizer.model.bundle import Bundle
from recognizer.model.evidence import percent

if TYPE_CHECKING:
    from recognizer.evaluation.living_animals import HeldOutPatches
    from recognizer.evaluation.unseen import Unseen

FAILURES_FILE = "failures.jpg"
SOURCES_FILE = "sources.csv"


def render_card(
    bundle: Bundle,
    evaluation: Evaluation,
    seen: Evaluation,
    licenses: Mapping[str, LicenseCount],
    *,
    unseen: Sequence[Unseen] = (),
    patches: Sequence[HeldOutPatches] = (),
    failures: bool,
    notes: str = "",
) -> str:
    """Return the model card as Markdown.

    Args:
        bundle: with its evidence.
        evaluation: the figures on the test split.
        seen: the figures on the validation split.
        licenses: of the photos.
        unseen: what other runs of the recipe make of the sources that they left out.
        patches: what becomes of patches of held-out animals.
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
        bundle=bundle,
        evaluation=evaluation,
        seen=seen,
        licenses=licenses,
        unseen=unseen,
        patches=patches,
        failures=FAILURES_FILE if failures else None,
        sources=SOURCES_FILE,
        percent=percent,
        notes=notes.strip(),
    )
