"""What an export enrols: photos of a product that its run left out (``exclude_sources``).

Each of them is scored by a head that had not seen it, so that the card can say what few photos are
worth; had the run learned from them, nothing could.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from recognizer.dataset.manifest import Photo
from recognizer.errors import TrainingError
from recognizer.taxonomy import Kind, load_taxonomy

EnrollFunction: TypeAlias = "Callable[[Path, Sequence[str], Path], Sequence[str]]"
"""Makes of the bundle in a folder another one, in a second folder, that knows these photos; returns
what lessens their evidence, a sentence each."""


@dataclass(frozen=True, slots=True)
class Enrolling:
    """How a product is enrolled: what does it belongs to a layer above training.

    Attributes:
        function: does it.
        fewest: photos that it needs.
    """

    function: EnrollFunction
    fewest: int


def left_out_photos(photos: Sequence[Photo], name: str, fewest: int) -> list[Photo]:
    """Return the photos of a product that a run left out.

    Raises:
        TrainingError: there are too few, or the name is no product's.
    """
    label = load_taxonomy().labels.get(name)
    if label is None or label.kind is not Kind.PRODUCT:
        raise TrainingError(f"{name} cannot be enrolled: it is no product of the taxonomy")
    found = [p for p in photos if p.split == "excluded" and p.label == name and p.is_evidence]
    if len(found) < fewest:
        raise TrainingError(
            f"{name} cannot be enrolled: the run left {len(found)} photos of it out "
            f"(exclude_sources); at least {fewest} are needed"
        )
    return found


def enrolled_evidence(entry: Mapping[str, Any], learned: Sequence[Photo]) -> dict[str, Any]:
    """Return what an enrolment wrote of its photos; the rest of the evidence is measured anew.

    It knows folders; the sources of the data are told here.

    Args:
        entry: of a label or family in ``bundle.json``.
        learned: photos that the bundle has seen, those that were enrolled among them.
    """
    found = entry["evidence"].get("enrolled")
    if found is None:
        return {}
    members = entry.get("members", [entry["name"]])
    places = {p.source for p in learned if p.split == "excluded" and p.label in members}
    return {"enrolled": {**found, "sources": len(places)}}
