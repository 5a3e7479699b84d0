"""The figures of one label, one family, one group of look-alikes.

Negatives are all photos that show no product; photos of other products count neither way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recognizer.intervals import share
from recognizer.lab.dataset.manifest import Photo, taxonomy_of
from recognizer.lab.evaluation.metrics import (
    RankedCounts,
    bootstrap,
    expected_calibration_error,
    rank,
)
from recognizer.lab.evaluation.thresholds import MAX_FOR_RANKS, ranks_of
from recognizer.model.description import Estimate
from recognizer.policy.values import FALSE_POSITIVE_RATES
from recognizer.taxonomy import Kind, Taxonomy

MIN_FOR_CALIBRATION = 30  # with fewer positives a calibration error would measure chance
COMPARED_RATE = 0.01  # the false-positive rate of figures label by label, and under alterations
_IVORY = "ivory"


@dataclass(frozen=True, slots=True)
class Truth:
    """What N photos show: true labels and sources, (N,), and whether they show no product."""

    labels: NDArray[np.str_]
    sources: NDArray[np.str_]
    negative: NDArray[np.bool_]
    taxonomy: Taxonomy

    @classmethod
    def of(cls, photos: Sequence[Photo]) -> Truth:
        return cls(
            labels=np.array([p.label for p in photos]),
            sources=np.array([p.source for p in photos]),
            negative=np.array([not p.is_product for p in photos], bool),
            taxonomy=taxonomy_of(photos),
        )

    def of_family(self, name: str) -> NDArray[np.bool_]:
        """Return which photos show a product of the family, known to a model or not, (N,)."""
        return np.isin(self.labels, [label.name for label in self.taxonomy.members(name)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How well one label or family is distinguished from the negatives.

    ``recall`` is by false-positive rate, with the threshold taken as fixed. ``ranks`` are the
    places of up to :data:`MAX_FOR_RANKS` positives among the negatives, 1 being above all.
    ``calibration_error`` is over *all* photos, with :data:`MIN_FOR_CALIBRATION` positives or more.
    """

    name: str
    photos: int = 0
    sources: int = 0
    average_precision: Estimate | None = None
    recall: Mapping[float, Estimate] = field(default_factory=dict)
    ranks: tuple[int, ...] = ()
    calibration_error: float | None = None


def figures_of(
    name: str,
    positive: NDArray[np.bool_],
    scores: NDArray[np.float64] | None,
    truth: Truth,
    *,
    rounds: int,
) -> Figures:
    """Measure how well positives, (N,), are distinguished from negatives.

    ``scores`` are None if the model does not know the name. Other photos count only against the
    calibration.
    """
    photos, sources = int(positive.sum()), len(set(truth.sources[positive]))
    if scores is None or not photos:
        return Figures(name=name, photos=photos, sources=sources)
    used = positive | truth.negative
    ranking = rank(positive[used], scores[used])
    return Figures(
        name=name,
        photos=photos,
        sources=sources,
        average_precision=bootstrap(
            RankedCounts.average_precision, positive[used], scores[used], rounds=rounds
        ),
        recall={
            rate: share(round(photos * float(ranking.recall_at(rate))), photos)
            for rate in FALSE_POSITIVE_RATES
        },
        ranks=ranks_of(scores[positive], scores[truth.negative]) if photos <= MAX_FOR_RANKS else (),
        calibration_error=expected_calibration_error(positive, scores)
        if photos >= MIN_FOR_CALIBRATION
        else None,
    )


@dataclass(frozen=True, slots=True)
class Lookalikes:
    """How well ivory is distinguished from its look-alikes: the question that a reviewer has.

    The prediction is the name with the highest score among ``ivory`` and these look-alikes.
    """

    accuracy: Estimate
    by_label: Mapping[str, Estimate]
    counts: Mapping[str, int]


def measure_lookalikes(truth: Truth, scores: Iterable[Mapping[str, float]]) -> Lookalikes | None:
    """Measure it by scores of labels and families; what the model does not know is never right.

    None if the model does not know ivory and a look-alike, or no photo shows one.
    """
    taxonomy = truth.taxonomy
    name_of = {label.name: _IVORY for label in taxonomy.members(_IVORY)}
    name_of |= {label.name: label.name for label in taxonomy.lookalikes(_IVORY)}
    hits, counts = (dict.fromkeys(name_of.values(), 0) for _ in range(2))
    for label, own in zip(truth.labels.tolist(), scores, strict=True):
        known = [name for name in own if name in hits]
        if label in name_of and _IVORY in known and len(known) > 1:
            name = name_of[label]
            counts[name] += 1
            hits[name] += name == max(known, key=own.__getitem__)
    counts = {name: count for name, count in counts.items() if count}
    if not counts:
        return None
    return Lookalikes(
        accuracy=share(sum(hits.values()), sum(counts.values())),
        by_label={name: share(hits[name], count) for name, count in counts.items()},
        counts=counts,
    )


@dataclass(frozen=True, slots=True)
class LivingAnimal:
    """The shares of an animal's photos with a product on top, and that the default policy flags."""

    name: str
    photos: int
    called_product: Estimate
    flagged: Estimate


def measure_living_animals(
    truth: Truth, best: NDArray[np.str_], flagged: NDArray[np.bool_]
) -> tuple[LivingAnimal, ...]:
    """Measure how often living animals are taken for products, by label on top and by policy."""
    labels, found = truth.taxonomy.labels, []
    called = np.array([labels[name].kind is Kind.PRODUCT for name in best.tolist()])
    for name, label in labels.items():
        own = truth.labels == name
        if label.kind is Kind.ANIMAL and own.any():
            shares = (share(int(one[own].sum()), int(own.sum())) for one in (called, flagged))
            found.append(LivingAnimal(name, int(own.sum()), *shares))
    return tuple(found)
