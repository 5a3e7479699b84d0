"""Detection metrics with their intervals: exact ones of shares, by bootstrap of average precision.

The latter are too narrow for fewer than about ten positives: a bootstrap knows only its photos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recognizer.intervals import CONFIDENCE, JOINT_CONFIDENCE, precision_estimate, share
from recognizer.model.description import Estimate

Positive: TypeAlias = NDArray[np.bool_]
Scores: TypeAlias = NDArray[np.floating]

_CALIBRATION_BINS = 10
_ROUNDS_AT_ONCE = 100  # bounds the memory of the bootstrap


@dataclass(frozen=True, slots=True)
class RankedCounts:
    """How many photos score at least as high as each distinct score, highest first.

    Shaped (..., S) for S distinct scores, where leading axes are resamples; the last entry is the
    number of all positives or negatives.
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


def bootstrap(
    metric: Metric,
    positive: Positive,
    scores: Scores,
    *,
    against: Scores | None = None,
    rounds: int = 1000,
) -> Estimate:
    """Return a metric, as :meth:`RankedCounts.average_precision`, with its percentile interval.

    ``positive``, (N,), has both values. The metric of the scores ``against``, if any, is subtracted
    in every round, of the same photos.
    """

    def value(counts: NDArray[np.int64] | None) -> NDArray[np.float64]:
        found = metric(rank(positive, scores, counts))
        return found if against is None else found - metric(rank(positive, against, counts))

    draws = np.concatenate([value(counts) for counts in _counts(positive, rounds)])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Estimate(float(value(None)), float(low), float(high))


def _counts(positive: Positive, rounds: int) -> Iterator[NDArray[np.int64]]:
    """Yield how often each photo is drawn, (rounds, N) in parts; every round has both kinds."""
    rng = np.random.default_rng(0)
    for first in range(0, rounds, _ROUNDS_AT_ONCE):
        part = min(_ROUNDS_AT_ONCE, rounds - first)
        counts = np.zeros((part, len(positive)), np.int64)
        for side in (positive, ~positive):
            size = np.count_nonzero(side)
            counts[:, side] = rng.multinomial(size, np.full(size, 1 / size), part)
        yield counts


def expected_calibration_error(positive: Positive, probabilities: Scores) -> float:
    """Return the mean distance between predicted and observed, over photos (Naeini et al. 2015).

    The bins have about equally many photos; those of the same probability share a bin.
    """
    edges = np.quantile(probabilities, np.linspace(0, 1, _CALIBRATION_BINS + 1)[1:-1])
    place = np.searchsorted(edges, probabilities, side="right")
    predicted, found = (np.bincount(place, weights=w) for w in (probabilities, positive))
    return float(np.abs(predicted - found).sum() / len(positive))


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """The effect of one threshold of a bundle."""

    rate: float  # of false positives, that it was set for
    threshold: float
    recall: Estimate | None  # None without positives
    false_positives: int
    false_positive_rate: Estimate
    precision: Estimate | None  # at the chosen prevalence; None without leads


def operating_point(
    rate: float,
    threshold: float,
    positive_scores: Scores,
    negative_scores: Scores,
    prevalence: float,
) -> OperatingPoint:
    """Measure a threshold; a photo is over it if its score is greater. There are negatives."""
    errors, negatives = int((negative_scores > threshold).sum()), len(negative_scores)
    found, positives = int((positive_scores > threshold).sum()), len(positive_scores)
    joint = partial(share, confidence=JOINT_CONFIDENCE)
    return OperatingPoint(
        rate=rate,
        threshold=threshold,
        recall=share(found, positives) if positives else None,
        false_positives=errors,
        false_positive_rate=share(errors, negatives),
        precision=precision_estimate(joint(found, positives), joint(errors, negatives), prevalence)
        if positives
        else None,
    )
