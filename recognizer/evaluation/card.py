"""The model card, made from the bundle and its evaluation.

No figure is written by hand, except in the notes: what people know of the data and the failures.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recognizer.dataset.manifest import Photo, read_photo
from recognizer.dataset.sheets import contact_sheet
from recognizer.engine import Recognizer
from recognizer.evaluation.evaluate import Evaluation
from recognizer.evaluation.templates import render
from recognizer.model.bundle import Bundle
from recognizer.model.evidence import percent
from recognizer.policy import Decision, Policy
from recognizer.prediction import Prediction

if TYPE_CHECKING:
    from recognizer.evaluation.left_out import Unseen
    from recognizer.evaluation.living_animals import HeldOutPatches

_COLUMNS = 7
_TILE = 132  # side of a picture of the failures, in pixels

FAILURES_FILE = "failures.jpg"
SOURCES_FILE = "sources.csv"


def render_card(
    bundle: Bundle,
    evaluation: Evaluation,
    seen: Evaluation,
    photos: Sequence[Photo],
    *,
    unseen: Sequence[Unseen] = (),
    patches: Sequence[HeldOutPatches] = (),
    failures: bool,
    notes: str = "",
) -> str:
    """Return the model card as Markdown.

    ``evaluation`` and ``seen`` are on the test and the validation split, ``photos`` those that were
    used, for their licences. ``unseen`` and ``patches`` are further figures; ``failures`` says
    whether :data:`FAILURES_FILE` lies beside the card. ``notes``, Markdown, go under the known
    weaknesses.
    """
    return render(
        "model_card.md.j2",
        bundle=bundle,
        evaluation=evaluation,
        seen=seen,
        licenses=count_licenses(photos),
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


UNSTATED = "unstated"


def count_licenses(photos: Sequence[Photo]) -> Mapping[str, tuple[int, int]]:
    """Return licence -> its photos and its sources, the most common first."""
    sources: defaultdict[str, set[str]] = defaultdict(set)
    counts = Counter(photo.license or UNSTATED for photo in photos)
    for photo in photos:
        sources[photo.license or UNSTATED].add(photo.source)
    return {name: (count, len(sources[name])) for name, count in counts.most_common()}


def write_sources(photos: Sequence[Photo], path: Path) -> None:
    """Write a table of the sources: licences, splits, labels, and how many photos."""
    by_source: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_source[photo.source].append(photo)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["source", "photos", "splits", "labels", "licenses"])
        for source, own in sorted(by_source.items()):
            columns = (
                {p.split for p in own},
                {p.label for p in own},
                {p.license or UNSTATED for p in own},
            )
            writer.writerow([source, len(own), *("; ".join(sorted(c)) for c in columns)])
