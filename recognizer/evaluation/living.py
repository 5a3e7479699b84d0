"""Whether living animals are taken for products: a zoo's photos are no reason for a lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recognizer.evaluation.metrics import share
from recognizer.model.evidence import Estimate
from recognizer.taxonomy import Kind, load_taxonomy


@dataclass(frozen=True, slots=True)
class LivingAnimal:
    """Figures over the photos of one living animal.

    Attributes:
        name: the label.
        photos: how many.
        called_product: share of them whose highest score is a product's.
        flagged: share of them that the default policy sends to review.
    """

    name: str
    photos: int
    called_product: Estimate
    flagged: Estimate


def measure_living(
    labels: Sequence[str], best: Sequence[str], flagged: Sequence[bool]
) -> tuple[LivingAnimal, ...]:
    """Measure what becomes of photos of living animals.

    Args:
        labels: true labels.
        best: the label with the highest score of each photo.
        flagged: whether the default policy sends each of them to review.
    """
    known = load_taxonomy().labels
    found = []
    for name in (label.name for label in known.values() if label.kind is Kind.ANIMAL):
        own = [i for i, label in enumerate(labels) if label == name]
        if own:
            named = [known[best[i]] for i in own if best[i] in known]
            called = sum(label.kind is Kind.PRODUCT for label in named)
            sent = sum(flagged[i] for i in own)
            found.append(
                LivingAnimal(name, len(own), share(called, len(own)), share(sent, len(own)))
            )
    return tuple(found)
