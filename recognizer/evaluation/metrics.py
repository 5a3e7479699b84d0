"""Detection metrics with their intervals: exact ones of shares, by bootstrap of average precision.

The latter are too narrow for fewer than about ten positives: a bootstrap knows only its photos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv
from scipy.stats import norm, t

from recognizer.model.description import Estimate

Positive: TypeAlias = NDArray[np.bool_]
Scores: TypeAlias = NDArray[np.floating]

CONFIDENCE = 0.95  # coverage of all intervals

CALIBRATION_BINS = 10
_ROUNDS_AT_ONCE = 100  # bounds the memory of the bootstrap


@dataclass(frozen=True, slots=True)
class RankedCounts:
    """How many photos score at least as high as each distinct score, highest first.

    The one form from which all metrics are computed, for the photos as they are and, with leading
    axes, for many resamples of them at once: (..., S), for S distinct scores, the last entry being
    the number of all positives or negatives.
    """

    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]

    def average_precision(self) -> NDArray[np.float64]:
        """Return the area under the precision-recall curve, as scikit-learn does, (...)."""
        found = np.diff(self.positives, prepend=0)
        precision = self.positives / np.maximum(self.positives + self.negatives, 1)
        area = (found * precision).sum(axis=-1) / self.positives[..., -1]
        return np.asarray(area, np.float64)

    def recall_at(self, rate: float) -> NDArray[np.float64]:
        """Return the recall over the threshold for a rate (see thresholds.py), (...)."""
        total = self.negatives[..., -1:]
        allowed = np.minimum(np.floor(rate * total + 1e-9), total - 1)
        # The threshold is the first score at which more than that would pass.
        place = (self.negatives > allowed).argmax(axis=-1)[..., None]
        found = np.take_along_axis(np.diff(self.positives, prepend=0), place, axis=-1)
        over = np.take_along_axis(self.positives, place, axis=-1) - found
        return np.asarray((over / self.positives[..., -1:])[..., 0], np.float64)


Metric: TypeAlias = Callable[[RankedCounts], NDArray[np.float64]]


def rank(
    positive: Positive, scores: Scores, counts: NDArray[np.integer] | None = None
) -> RankedCounts:
    """Return the ranking of N photos; ``counts``, (..., N), says how often each counts."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of each distinct score
    counts = np.ones(len(scores), np.int64) if counts is None else counts
    ordered = counts[..., order].astype(np.int64)
    is_positive = positive[order]
    return RankedCounts(
        (ordered * is_positive).cumsum(axis=-1)[..., last],
        (ordered * ~is_positive).cumsum(axis=-1)[..., last],
    )


def share(count: float, of: float, confidence: float = CONFIDENCE) -> Estimate:
    """Return a share, perhaps of fractions, with its exact interval (Clopper and Pearson, 1934)."""
    value, tail = count / of, (1 - confidence) / 2
    low = float(betaincinv(count, of - count + 1, tail)) if count > 0 else 0.0
    high = float(betaincinv(count + 1, of - count, 1 - tail)) if count < of else 1.0
    return Estimate(value, min(low, value), max(high, value))


@dataclass(frozen=True, slots=True)
class Clustering:
    """How alike the photos of one source are (Korn and Graubard, 1998).

    ``correlation``, 0 to 1, is of two photos of one source, in being over a threshold; ``degrees``
    are the sources that say so, less the groups that they were compared within.
    """

    correlation: float
    degrees: int

    @classmethod
    def of(
        cls, over: NDArray[np.bool_], sources: NDArray[np.str_], groups: NDArray[np.str_]
    ) -> Clustering:
        """Estimate the correlation by the analysis of variance, pooled over thresholds and groups.

        ``over``, (thresholds, N), says which photos are over each threshold; photos are compared
        with those of their group, (N,).
        """
        between = within = size = 0.0
        degrees_between = degrees_within = 0
        for group in np.unique(groups):
            own = groups == group
            _, place, n = np.unique(sources[own], return_inverse=True, return_counts=True)
            hits = np.stack([np.bincount(place, weights=row) for row in over[:, own]])
            mean = hits.sum(axis=1, keepdims=True) / n.sum()
            between += float((n * (hits / n - mean) ** 2).sum()) / len(over)
            within += float((hits * (1 - hits / n)).sum()) / len(over)
            degrees_between += len(n) - 1
            degrees_within += int(n.sum()) - len(n)
            size += n.sum() - (n**2).sum() / n.sum()
        if not degrees_between or not degrees_within or not between + within:
            return cls(0.0, degrees_between)
        between, within = between / degrees_between, within / degrees_within
        size /= degrees_between
        correlation = (between - within) / (between + (size - 1) * within)
        return cls(min(max(correlation, 0.0), 1.0), degrees_between)

    def effective(self, photos: NDArray[np.integer], confidence: float = CONFIDENCE) -> float:
        """Return how many independent photos say as much as so many photos of each source."""
        total = photos.sum()
        number = total / (1 + ((photos**2).sum() / total - 1) * self.correlation)
        if self.degrees and self.correlation:  # few sources say little of how alike photos are
            tail = (1 - confidence) / 2
            number *= (norm.isf(tail) / t.isf(tail, self.degrees)) ** 2
        return float(number)


def bootstrap(
    metric: Metric,
    positive: Positive,
    scores: Scores,
    *,
    against: Scores | None = None,
    rounds: int = 1000,
    groups: NDArray[np.str_] | None = None,
) -> Estimate:
    """Return a metric, as :meth:`RankedCounts.average_precision`, with its percentile interval.

    ``positive``, bool, (N,), has both values. The metric of the scores ``against``, if any, is
    subtracted: every round draws the same photos for both, so that photos that are hard for both
    do not blur the difference. ``groups``, (N,), are sources to draw whole, instead of photos.
    """

    def value(counts: NDArray[np.int64] | None) -> NDArray[np.float64]:
        found = metric(rank(positive, scores, counts))
        return found if against is None else found - metric(rank(positive, against, counts))

    draws = np.concatenate([value(counts) for counts in _counts(positive, rounds, groups)])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Estimate(float(value(None)), float(low), float(high))


def _counts(
    positive: Positive, rounds: int, groups: NDArray[np.str_] | None
) -> Iterator[NDArray[np.int64]]:
    """Yield how often each photo is drawn, (rounds, N) in parts.

    Positives and negatives are drawn separately, so that every round has both.
    """
    rng = np.random.default_rng(0)
    unit = np.arange(len(positive)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sides = []
    for side in (positive, ~positive):
        members = np.flatnonzero(side)
        names, unit_of = np.unique(unit[members], return_inverse=True)
        sides.append((members, len(names), unit_of))
    for first in range(0, rounds, _ROUNDS_AT_ONCE):
        part = min(_ROUNDS_AT_ONCE, rounds - first)
        counts = np.zeros((part, len(positive)), np.int64)
        for members, units, unit_of in sides:
            drawn = rng.multinomial(units, np.full(units, 1 / units), part)
            counts[:, members] = drawn[:, unit_of]
        yield counts


def expected_calibration_error(
    positive: Positive, probabilities: Scores, bins: int = CALIBRATION_BINS
) -> float:
    """Return the mean distance between predicted and observed, over photos (Naeini et al. 2015).

    The bins have about equally many photos; those of the same probability share a bin.
    """
    edges = np.quantile(probabilities, np.linspace(0, 1, bins + 1)[1:-1])
    place = np.searchsorted(edges, probabilities, side="right")
    predicted, found = (np.bincount(place, weights=w) for w in (probabilities, positive))
    return float(np.abs(predicted - found).sum() / len(positive))
