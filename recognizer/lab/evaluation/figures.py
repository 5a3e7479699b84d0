"""The figures of one label or family.

Negatives are all photos that show no product; photos of other products count neither way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recognizer.intervals import JOINT_CONFIDENCE, MIN_SOURCES, share_by_source
from recognizer.lab.dataset.manifest import Photo, taxonomy_of
from recognizer.lab.evaluation.metrics import Metric, RankedCounts, bootstrap, precision_estimate
from recognizer.lab.evaluation.thresholds import threshold_at_fpr
from recognizer.model.description import Estimate
from recognizer.policy.values import FALSE_POSITIVE_RATES
from recognizer.taxonomy import Taxonomy

COMPARED_RATE = 0.01  # the false-positive rate of figures label by label


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth of N photos: labels and sources, (N,), and whether they show no product."""

    labels: NDArray[np.str_]
    sources: NDArray[np.str_]
    negative: NDArray[np.bool_]
    taxonomy: Taxonomy

    @classmethod
    def of(cls, photos: Sequence[Photo]) -> Self:
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
class Target:
    """A target of a platform: a family, or any product."""

    name: str
    positive: NDArray[np.bool_]  # (N,)
    scores: NDArray[np.float64]  # (N,): calibrated probabilities
    thresholds: Mapping[float, float]  # the bundle's, by false-positive rate


@dataclass(frozen=True, slots=True)
class Figures:
    """How well one label or family is distinguished from the negatives.

    ``recall`` is by false-positive rate; its interval is the wider one of the exact one for a fixed
    threshold and, of enough sources, the bootstrap's, which draws the threshold again.
    """

    name: str
    photos: int = 0
    sources: int = 0
    average_precision: Estimate | None = None
    recall: Mapping[float, Estimate] = field(default_factory=dict)


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
    shown = positive[used], scores[used], truth.sources[used]
    at_rates = (partial(RankedCounts.recall_at, rate=rate) for rate in FALSE_POSITIVE_RATES)
    metrics: list[Metric] = [RankedCounts.average_precision, *at_rates]
    precision, *drawn = bootstrap(metrics, *shown, rounds=rounds)
    recall = {}
    for rate, of_draws in zip(FALSE_POSITIVE_RATES, drawn, strict=True):
        fixed = share_by_source(found > threshold_at_fpr(against, rate), sources)
        if counts[1] >= MIN_SOURCES:
            ends = min(fixed.low, of_draws.low), max(fixed.high, of_draws.high)
            fixed = Estimate(fixed.value, *ends)
        recall[rate] = fixed
    return Figures(name, *counts, precision, recall)


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The effect of one threshold of a bundle."""

    rate: float  # of false positives, that it was set for
    threshold: float
    recall: Estimate | None  # None without positives
    false_positives: int
    false_positive_rate: Estimate
    precision: Estimate | None  # at the chosen prevalence; None without leads


def operating_points(target: Target, truth: Truth, prevalence: float) -> tuple[OperatingPoint, ...]:
    """Measure a target's thresholds, the strictest last; a greater score is over one."""
    points, sides = [], (target.positive, truth.negative)
    for rate, threshold in sorted(target.thresholds.items(), reverse=True):
        found, errors = ((target.scores[s] > threshold, truth.sources[s]) for s in sides)
        recall = precision = None
        if target.positive.any():
            recall = share_by_source(*found)
            shares = [share_by_source(*side, JOINT_CONFIDENCE) for side in (found, errors)]
            precision = precision_estimate(shares[0], shares[1], prevalence)
        wrong, wrong_share = int(errors[0].sum()), share_by_source(*errors)
        points.append(OperatingPoint(rate, threshold, recall, wrong, wrong_share, precision))
    return tuple(points)
