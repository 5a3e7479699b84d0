"""What a recipe finds at sources that a run of it left out.

A product that comes from one source cannot be measured by the model that learned from it. So the
same recipe is trained once more without that source, and what this other network makes of it is
recorded beside the released one, as evidence for the recipe and not for the weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognizer.dataset.manifest import Photo, count_taught
from recognizer.evaluation.figures import Figures, Truth, figures_of
from recognizer.evaluation.lookalikes import Lookalikes, measure_lookalikes
from recognizer.taxonomy import Kind, load_taxonomy


@dataclass(frozen=True, slots=True)
class Unseen:
    """The figures of one run on the sources that it left out.

    Attributes:
        sources: which.
        negatives: photos without a product: of the validation split and of these sources.
        figures: for each family and product with photos at these sources.
        taught_by: the same names -> what the run had of them to learn from: ``photos``,
            ``rendered``, ``patches``.
        lookalikes: how well ivory is told from what looks like it, there.
        animals: label of a living animal -> its photos among the negatives.
        called_product: the same labels -> those of them whose highest score is a product's.
    """

    sources: tuple[str, ...]
    negatives: int
    figures: tuple[Figures, ...]
    taught_by: Mapping[str, Mapping[str, int]]
    lookalikes: Lookalikes | None
    animals: Mapping[str, int]
    called_product: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return it as ``bundle.json`` holds it."""
        return asdict(self)


def held_out(photos: Iterable[Photo]) -> list[Photo]:
    """Return the photos that a run did not learn from and that no model card is about."""
    return [p for p in photos if p.split in {"validation", "excluded"}]


def measure_scores(
    scores: NDArray[np.float64],
    labels: Sequence[str],
    photos: Sequence[Photo],
    sources: Sequence[str] = (),
    *,
    found_in: Container[str] = ("excluded",),
    rounds: int = 1000,
) -> Unseen:
    """Measure scores of photos that a run did not learn from.

    Args:
        scores: float64, (photos, labels), of what :func:`held_out` returns of the photos.
        labels: in the order of the columns.
        photos: all photos, as the run had them split.
        sources: that were left out.
        found_in: the splits whose photos are to be found; those of ``validation`` and ``excluded``
            without a product are negatives all the same.
        rounds: bootstrap rounds behind the intervals.
    """
    held = held_out(photos)
    train = [p for p in photos if p.split == "train"]
    truth = Truth.of(held)
    counts = np.array([p.split in found_in and p.is_evidence for p in held])
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
        positive = np.isin(truth.labels, members) & counts
        if positive.any():
            figures.append(
                figures_of(
                    name, positive, truth.negative, columns.get(name), truth.sources, rounds, False
                )
            )
            taught_by[name] = count_taught(train, members)
    rows = [
        {name: float(column[i]) for name, column in columns.items()} for i in np.flatnonzero(counts)
    ]
    best = [labels[i] for i in scores.argmax(axis=1)]
    animals, called = Counter[str](), Counter[str]()
    for true, answer in zip(truth.labels.tolist(), best, strict=True):
        if taxonomy.labels[true].kind is Kind.ANIMAL:
            animals[true] += 1
            called[true] += taxonomy.labels[answer].kind is Kind.PRODUCT
    return Unseen(
        tuple(sources),
        int(truth.negative.sum()),
        tuple(figures),
        taught_by,
        measure_lookalikes(truth.labels[counts], rows),
        dict(animals),
        dict(called),
    )
