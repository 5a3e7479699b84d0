"""Detection metrics with intervals by source: exact ones of shares, by bootstrap of the rest.

The latter are too narrow for fewer than about ten sources: a bootstrap knows only its photos.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recognizer.intervals import CONFIDENCE, MIN_SOURCES
from recognizer.model.description import Estimate

_ROUNDS_AT_ONCE = 100  # bounds the memory of the bootstrap

Positive: TypeAlias = NDArray[np.bool_]
Scores: TypeAlias = NDArray[np.floating]


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
        return np.asarray((found * precision).sum(axis=-1) / self.positives[..., -1], np.float64)

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
    metrics: Sequence[Metric],
    positive: Positive,
    scores: Scores,
    sources: NDArray[np.str_],
    *,
    against: Scores | None = None,
    rounds: int = 1000,
) -> list[Estimate]:
    """Return metrics of N photos with their percentile intervals, drawing whole sources.

    ``positive``, (N,), has both values; as many sources of either are drawn as there are. The
    metric of the scores ``against``, if any, is subtracted in every round, of the same photos. Of
    fewer than :data:`MIN_SOURCES` sources of positives or of negatives, whose interval would be far
    too narrow, it is all that a metric can be.
    """

    def values(counts: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        now, *before = (rank(positive, s, counts) for s in (scores, against) if s is not None)
        found = [metric(now) - (metric(before[0]) if before else 0) for metric in metrics]
        return np.array(found, np.float64)

    value, tail = values(), (1 - CONFIDENCE) / 2
    parts = [np.flatnonzero(positive == side) for side in (True, False)]
    placed = [np.unique(sources[part], return_inverse=True) for part in parts]
    if any(len(names) < MIN_SOURCES for names, _ in placed):
        return [Estimate(float(v), 0.0 if against is None else -1.0, 1.0) for v in value]
    rng, draws = np.random.default_rng(0), []
    for first in range(0, rounds, _ROUNDS_AT_ONCE):
        counts = np.zeros((min(_ROUNDS_AT_ONCE, rounds - first), len(sources)), np.int64)
        for part, (names, place) in zip(parts, placed, strict=True):
            number = len(names)
            drawn = rng.multinomial(number, np.full(number, 1 / number), len(counts))
            counts[:, part] = drawn[:, place]
        draws.append(values(counts))
    ends = np.quantile(np.concatenate(draws, axis=1), [tail, 1 - tail], axis=1)
    return [Estimate(*row) for row in np.stack([value, *ends], axis=1).tolist()]


def precision(recall: float, false_positive_rate: float, prevalence: float) -> float | None:
    """Return the share of products among the photos over a threshold; None if there are none."""
    true_positives = prevalence * recall
    passed = true_positives + (1 - prevalence) * false_positive_rate
    return true_positives / passed if passed else None


def precision_estimate(
    recall: Estimate, false_positive_rate: Estimate, prevalence: float
) -> Estimate | None:
    """Return the precision at a prevalence with a conservative interval; None without leads.

    It combines the opposite ends of both: at 97.5 % of each, it covers at least 95 %.
    """
    value = precision(recall.value, false_positive_rate.value, prevalence)
    if value is None:
        return None
    low = precision(recall.low, false_positive_rate.high, prevalence)
    high = precision(recall.high, false_positive_rate.low, prevalence)
    return Estimate(value, low or 0.0, 1.0 if high is None else high)
