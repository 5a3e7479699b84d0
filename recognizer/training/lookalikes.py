"""How well ivory and what looks like it are told apart: the question that a reviewer has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recognizer.prediction import Prediction
from recognizer.taxonomy import load_taxonomy
from recognizer.training.metrics import Estimate, share

FAMILY = "ivory"
"""The family whose look-alikes (by ``confused_with`` of the taxonomy) are looked at."""


@dataclass(frozen=True, slots=True)
class Lookalikes:
    """Figures over the photos that show a family or one of its look-alikes.

    The answer counted is the name with the highest score among the family and these look-alikes;
    whatever else the model saw in the picture is left aside.

    Attributes:
        family: which one; its products count as one name.
        photos: how many photos.
        accuracy: share of them for which the answer is right.
        mean_accuracy: mean of :attr:`by_label`, in which rare look-alikes count as much.
        by_label: the family, and each look-alike with photos -> share of its photos that is right.
        counts: the same keys -> their photos.
    """

    family: str
    photos: int
    accuracy: Estimate
    mean_accuracy: float
    by_label: Mapping[str, Estimate]
    counts: Mapping[str, int]


def measure_lookalikes(
    labels: NDArray[np.str_], predictions: Sequence[Prediction], family: str = FAMILY
) -> Lookalikes | None:
    """Measure how well a family and its look-alikes are told apart.

    Args:
        labels: (N,) true labels.
        predictions: of the same photos. A look-alike that the model does not know is never right.
        family: of the taxonomy.

    Returns:
        None where the model does not know the family, or no photo shows it or a look-alike.
    """
    taxonomy = load_taxonomy()
    name_of = {label.name: label.name for label in taxonomy.lookalikes(family)}
    name_of |= {label.name: family for label in taxonomy.members(family)}
    group = set(name_of.values()) - {family}
    asked: list[tuple[str, str]] = []
    for label, prediction in zip(labels.tolist(), predictions, strict=True):
        if label not in name_of or family not in prediction.families:
            continue
        scores = {name: score for name, score in prediction.scores.items() if name in group}
        scores[family] = prediction.families[family]
        asked.append((name_of[label], max(scores, key=scores.__getitem__)))
    if not asked:
        return None
    by_label, counts = {}, {}
    for name in dict.fromkeys([family, *name_of.values()]):
        answers = [answer for true, answer in asked if true == name]
        if answers:
            by_label[name] = share(answers.count(name), len(answers))
            counts[name] = len(answers)
    return Lookalikes(
        family,
        len(asked),
        share(sum(true == answer for true, answer in asked), len(asked)),
        float(np.mean([estimate.value for estimate in by_label.values()])),
        by_label,
        counts,
    )
