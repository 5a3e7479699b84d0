"""How well ivory and its look-alikes are told apart: the question that a reviewer has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recognizer.evaluation.metrics import share
from recognizer.model.evidence import Estimate
from recognizer.taxonomy import load_taxonomy

FAMILY = "ivory"
"""The family that is measured against its look-alikes (``confused_with`` of the taxonomy)."""


@dataclass(frozen=True, slots=True)
class Lookalikes:
    """Figures over the photos that show a family or one of its look-alikes.

    The prediction is the name with the highest score among the family and these look-alikes; all
    other labels are ignored.

    Attributes:
        family: its name; its products count as one.
        photos: their number.
        accuracy: share of them with the right prediction.
        mean_accuracy: mean of :attr:`by_label`, in which rare look-alikes count as much.
        by_label: the family, and each look-alike with photos -> accuracy on its photos.
        counts: the same keys -> their photos.
    """

    family: str
    photos: int
    accuracy: Estimate
    mean_accuracy: float
    by_label: Mapping[str, Estimate]
    counts: Mapping[str, int]


def measure_lookalikes(
    labels: NDArray[np.str_], scores: Sequence[Mapping[str, float]], family: str = FAMILY
) -> Lookalikes | None:
    """Measure how well a family and its look-alikes are told apart.

    Args:
        labels: (N,) true labels.
        scores: of the N photos: label or family -> probability. A look-alike that the model does
            not know is never right.
        family: of the taxonomy.

    Returns:
        None if the model does not know the family, or no photo shows it or a look-alike.
    """
    taxonomy = load_taxonomy()
    name_of = {label.name: label.name for label in taxonomy.lookalikes(family)}
    name_of |= {label.name: family for label in taxonomy.members(family)}
    group = set(name_of.values())
    asked: list[tuple[str, str]] = []
    for label, own in zip(labels.tolist(), scores, strict=True):
        if label in name_of and family in own:
            answers = {name: score for name, score in own.items() if name in group}
            asked.append((name_of[label], max(answers, key=answers.__getitem__)))
    if not asked:
        return None
    by_label, counts = {}, {}
    for name in dict.fromkeys([family, *name_of.values()]):
        given = [answer for true, answer in asked if true == name]
        if given:
            by_label[name] = share(given.count(name), len(given))
            counts[name] = len(given)
    return Lookalikes(
        family=family,
        photos=len(asked),
        accuracy=share(sum(true == answer for true, answer in asked), len(asked)),
        mean_accuracy=float(np.mean([estimate.value for estimate in by_label.values()])),
        by_label=by_label,
        counts=counts,
    )
