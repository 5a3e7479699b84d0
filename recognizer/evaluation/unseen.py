"""What a recipe finds at sources that a run of it left out.

A product that comes from one source cannot be measured by the model that learned from it. So the
same recipe is trained once more without that source, and the figures of this other network are
recorded beside the released one, as evidence for the recipe and not for the weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognizer.dataset.manifest import Photo, training_images
from recognizer.evaluation.figures import Figures, Truth, figures_of
from recognizer.evaluation.lookalikes import Lookalikes, measure_lookalikes
from recognizer.model.evidence import TrainingImages
from recognizer.taxonomy import Kind, load_taxonomy


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """The figures of one run on the sources that it left out.

    Attributes:
        sources: that were left out.
        negatives: photos without a product, of the validation split and of these sources.
        figures: for each family and product with photos at these sources.
        taught_by: the same names -> the images that the run learned them from.
        lookalikes: how well ivory is told from its look-alikes, there.
        animals: label of a living animal -> its photos among the negatives.
        called_product: the same labels -> those of them whose highest score is a product's.
    """

    sources: tuple[str, ...]
    negatives: int
    figures: tuple[Figures, ...]
    taught_by: Mapping[str, TrainingImages]
    lookalikes: Lookalikes | None
    animals: Mapping[str, int]
    called_product: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return it as ``bundle.json`` holds it."""
        return asdict(self)


def held_out(photos: Iterable[Photo]) -> list[Photo]:
    """Return the photos that a run did not learn from, without the test split."""
    return [p for p in photos if p.split in {"validation", "excluded"}]


def measure_scores(
    scores: NDArray[np.float64],
    labels: Sequence[str],
    photos: Sequence[Photo],
    sources: Sequence[str],
    *,
    rounds: int = 1000,
) -> Unseen:
    """Measure a run by its scores of the photos that it did not learn from.

    Args:
        scores: float64, (N, labels), of the N photos that :func:`held_out` returns.
        labels: in the order of the columns.
        photos: all photos, with the run's splits; those of the split ``excluded`` are the
            positives.
        sources: that were left out.
        rounds: bootstrap rounds behind the intervals.
    """
    held = held_out(photos)
    train = [p for p in photos if p.split == "train"]
    truth = Truth.of(held)
    left_out = np.array([p.split == "excluded" and p.is_evidence for p in held])
    taxonomy = load_taxonomy()
    families = {name: [m.name for m in taxonomy.members(name)] for name in taxonomy.families}
    names = {name: members for name, members in families.items() if len(members) > 1}
    names |= {product.name: [product.name] for product in taxonomy.products}
    columns = {name: scores[:, i] for i, name in enumerate(labels)}
    figures, taught_by = [], {}
    for name, members in names.items():
        known = [labels.index(m) for m in members if m in labels]
        if known and name not in columns:
            columns[name] = 1 - np.prod(1 - scores[:, known], axis=1)
        positive = np.isin(truth.labels, members) & left_out
        if positive.any():
            figures.append(figures_of(name, positive, columns.get(name), truth, rounds=rounds))
            taught_by[name] = training_images(train, members)
    rows = [
        {name: float(column[i]) for name, column in columns.items()}
        for i in np.flatnonzero(left_out)
    ]
    animals, called = Counter[str](), Counter[str]()
    for photo, column in zip(held, scores.argmax(axis=1), strict=True):
        if photo.kind is Kind.ANIMAL:
            animals[photo.label] += 1
            called[photo.label] += taxonomy.labels[labels[column]].kind is Kind.PRODUCT
    return Unseen(
        sources=tuple(sources),
        negatives=int(truth.negative.sum()),
        figures=tuple(figures),
        taught_by=taught_by,
        lookalikes=measure_lookalikes(truth.labels[left_out], rows),
        animals=dict(animals),
        called_product=dict(called),
    )
