"""What an export enrols: photos of a product that its run left out (``exclude_sources``).

Each of them is scored by a head that had not seen it, so that the card can say what few photos are
worth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from recognizer.dataset.manifest import Photo
from recognizer.errors import TrainingError
from recognizer.evaluation.evaluate import evidence
from recognizer.evaluation.figures import Figures
from recognizer.model.evidence import Evidence
from recognizer.taxonomy import Kind, load_taxonomy

EnrollFunction: TypeAlias = "Callable[[Path, Sequence[str], Path], Sequence[str]]"
"""Makes, from the bundle in a folder, another one in a second folder that knows these photos.

It returns what weakens their evidence, a sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolling:
    """How a product is enrolled: what does it belongs to a layer above training.

    Attributes:
        function: does it.
        min_photos: photos that it needs.
    """

    function: EnrollFunction
    min_photos: int


def left_out_photos(photos: Sequence[Photo], name: str, min_photos: int) -> list[Photo]:
    """Return the photos of a product that a run left out.

    Raises:
        TrainingError: there are too few, or the name is no product's.
    """
    label = load_taxonomy().labels.get(name)
    if label is None or label.kind is not Kind.PRODUCT:
        raise TrainingError(f"{name} cannot be enrolled: it is no product of the taxonomy")
    found = [p for p in photos if p.split == "excluded" and p.label == name and p.is_evidence]
    if len(found) < min_photos:
        raise TrainingError(
            f"{name} cannot be enrolled: the run left {len(found)} photos of it out "
            f"(exclude_sources); at least {min_photos} are needed"
        )
    return found


def measured_evidence(
    figures: Figures,
    learned: Sequence[Photo],
    members: Sequence[str],
    before: Evidence | None,
) -> Evidence:
    """Return what ``bundle.json`` records behind a label or family.

    Args:
        figures: measured on the test split.
        learned: photos that the bundle has seen, those that were enrolled among them.
        members: the labels that count.
        before: what an enrolment recorded. It knows folders; the sources of the data are in
            ``learned``.
    """
    found = evidence(figures, learned, members)
    if before is None or before.enrolment is None:
        return found
    places = {p.source for p in learned if p.split == "excluded" and p.label in members}
    return replace(found, enrolment=replace(before.enrolment, sources=len(places)))
