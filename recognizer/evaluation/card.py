"""The model card, made from the bundle and its evaluation.

No figure is written by hand, except in the notes: what people know of the data and the failures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING

import jinja2
import numpy as np
from numpy.typing import NDArray

from recognizer.dataset.licenses import LicenseCount
from recognizer.dataset.manifest import Photo, read_photo
from recognizer.dataset.sheets import contact_sheet
from recognizer.evaluation.evaluate import Evaluation
from recognizer.model.bundle import Bundle
from recognizer.model.evidence import percent
from recognizer.policy import Decision, Policy
from recognizer.prediction import Prediction
from recognizer.recognizer import Recognizer

if TYPE_CHECKING:
    from recognizer.evaluation.living_animals import HeldOutPatches
    from recognizer.evaluation.unseen import Unseen

_COLUMNS = 7
_TILE = 132  # side of a picture of the failures, in pixels

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


def failures_sheet(
    recognizer: Recognizer, photos: Sequence[Photo], predictions: Sequence[Prediction]
) -> NDArray[np.uint8]:
    """Draw the worst misses above, and the worst false positives below, on uint8 RGB.

    Misses are rendered products that the default policy clears, the lowest score first; false
    positives are pictures without a product, the highest score first.

    Raises:
        DatasetError: a picture cannot be decoded.
    """
    policy = Policy()
    highest = [max(p.families.values(), default=0.0) for p in predictions]
    order = sorted(range(len(photos)), key=highest.__getitem__)

    missed = [
        i
        for i in order
        if photos[i].is_product
        and recognizer.decide(predictions[i], policy).decision is Decision.CLEAR
    ][:_COLUMNS]
    wrong = [i for i in reversed(order) if not photos[i].is_product][:_COLUMNS]
    shown = []
    for place in [*missed, *wrong]:
        scores = predictions[place].scores
        best = max(scores, key=scores.__getitem__)
        words = f"{photos[place].label}\n{best} {scores[best]:.2f}"
        shown.append((words, read_photo(photos[place], _TILE)))
    blank = ("", np.zeros((_TILE, _TILE, 3), np.uint8))
    shown[len(missed) : len(missed)] = [blank] * (_COLUMNS - len(missed))
    return contact_sheet(shown, _TILE, _COLUMNS)
