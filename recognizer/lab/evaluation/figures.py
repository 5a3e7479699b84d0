"""The figures of one label, one family, one group of look-alikes.

Negatives are all photos that show no product; photos of other products count neither way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recognizer.intervals import share_by_source
from recognizer.lab.dataset.manifest import Photo, taxonomy_of
from recognizer.lab.evaluation.metrics import (
    RankedCounts,
    bootstrap,
)
from recognizer.lab.evaluation.thresholds import MAX_FOR_RANKS, ranks_of, threshold_at_fpr
from recognizer.model.description import Estimate
from recognizer.policy.values import FALSE_POSITIVE_RATES
from recognizer.taxonomy import Kind, Taxonomy

SCORE_EDGES = (0.0, 0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)  # of a reliability diagram
COMPARED_RATE = 0.01  # the false-positive rate of figures label by label
_IVORY = "ivory"


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth of N photos: labels and sources, (N,), and whether they show no product."""

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


@dataclass(frozen=True, slots=True)
class Figures:
    """How well one label or family is distinguished from the negatives.

    ``recall`` is by false-positive rate, with the threshold taken as fixed. ``ranks`` are the
    places of up to :data:`MAX_FOR_RANKS` positives among the negatives, 1 being above all.
    """

    name: str
    photos: int = 0
    sources: int = 0
    average_precision: Estimate | None = None
    recall: Mapping[float, Estimate] = field(default_factory=dict)
    ranks: tuple[int, ...] = ()


def figures_of(
    name: str,
    positive: NDArray[np.bool_],
    scores: NDArray[np.float64] | None,
    truth: Truth,
    *,
    rounds: int,
) -> Figures:
    """Measure how well positives, (N,), are distinguished from negatives.

    ``scores`` are None if the model does not know the name. Other photos count neither way.
    """
    sources = truth.sources[positive]
    counts = len(sources), len(set(sources))
    if scores is None or not len(sources):
        return Figures(name, *counts)
    used, found, against = positive | truth.negative, scores[positive], scores[truth.negative]
    metric, ranked = RankedCounts.average_precision, len(sources) <= MAX_FOR_RANKS
    return Figures(
        name,
        *counts,
        bootstrap(metric, positive[used], scores[used], truth.sources[used], rounds=rounds),
        {
            rate: share_by_source(found > threshold_at_fpr(against, rate), sources)
            for rate in FALSE_POSITIVE_RATES
        },
        ranks_of(found, against) if ranked else (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """How often photos whose score is over ``low``, and at most ``high``, show a product."""

    low: float
    high: float
    photos: int
    sources: int
    mean_score: float
    products: Estimate


def measure_reliability(truth: Truth, scores: NDArray[np.float64]) -> tuple[ReliabilityBin, ...]:
    """Compare any-product scores, (N,), with the share of products, between fixed scores."""
    bins, place = [], np.searchsorted(SCORE_EDGES[1:-1], scores)
    for number in np.unique(place).tolist():
        inside = place == number
        sources = truth.sources[inside]
        bins.append(
            ReliabilityBin(
                low=SCORE_EDGES[number],
                high=SCORE_EDGES[number + 1],
                photos=len(sources),
                sources=len(set(sources)),
                mean_score=float(scores[inside].mean()),
                products=share_by_source(~truth.negative[inside], sources),
            )
        )
    return tuple(bins)


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
    names, sources, hits = [], [], []
    for label, source, own in zip(truth.labels.tolist(), truth.sources, scores, strict=True):
        known = [name for name in own if name in name_of.values()]
        if label in name_of and _IVORY in known and len(known) > 1:
            names.append(name_of[label])
            sources.append(source)
            hits.append(names[-1] == max(known, key=own.__getitem__))
    if not names:
        return None
    hit, of, label_of = np.array(hits), np.array(sources), np.array(names)
    shown = [name for name in dict.fromkeys(name_of.values()) if name in names]
    return Lookalikes(
        accuracy=share_by_source(hit, of),
        by_label={n: share_by_source(hit[label_of == n], of[label_of == n]) for n in shown},
        counts={name: names.count(name) for name in shown},
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
            shares = (share_by_source(one[own], truth.sources[own]) for one in (called, flagged))
            found.append(LivingAnimal(name, int(own.sum()), *shares))
    return tuple(found)
