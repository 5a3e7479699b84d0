"""Detection metrics with intervals by source: exact ones of shares, by bootstrap of the rest.

The latter are too narrow for fewer than about ten sources: a bootstrap knows only its photos.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recognizer.intervals import CONFIDENCE
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
    metric: Metric,
    positive: Positive,
    scores: Scores,
    sources: NDArray[np.str_],
    *,
    against: Scores | None = None,
    rounds: int = 1000,
) -> Estimate:
    """Return a metric, as :meth:`RankedCounts.average_precision`, with its interval by source.

    ``positive``, (N,), has both values. The metric of the scores ``against``, if any, is subtracted
    in every round, of the same photos. Positives or negatives of one source say nothing of others:
    the interval is then all that a metric can be.
    """

    def value(of: NDArray[Any], counts: NDArray[np.int64] | None) -> NDArray[np.float64]:
        now, *before = (metric(rank(positive, column, counts)) for column in of.T)
        return now - before[0] if before else now

    values = np.stack([scores] if against is None else [scores, against], axis=1)
    found = bootstrap_by_source(values, sources, value, rounds, groups=positive)
    if found is None:
        return Estimate(float(value(values, None)), 0.0 if against is None else -1.0, 1.0)
    return found


def bootstrap_by_source(
    values: NDArray[np.generic],
    sources: NDArray[np.str_],
    statistic: Callable[[NDArray[np.generic], NDArray[np.int64]], NDArray[np.float64]],
    rounds: int = 1000,
    *,
    groups: NDArray[np.generic] | None = None,
) -> Estimate | None:
    """Return a figure of N photos with its percentile interval, drawing whole sources.

    ``statistic`` is called with ``values``, (N, ...), and how often each photo counts, integers of
    the shape (rounds, N); it returns (rounds,). Within each of ``groups``, (N,), such as photos
    with and without a product, as many sources are drawn as there are, so that none is ever empty.
    Rounds whose figure is not finite are left out. None if all photos of a group come from one
    source: they say nothing of others. Of fewer than about ten sources the interval is too narrow.
    """
    groups = np.zeros(len(sources), np.int64) if groups is None else groups
    parts = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    placed = [np.unique(sources[part], return_inverse=True) for part in parts]
    if any(len(names) < 2 for names, _ in placed):
        return None
    rng = np.random.default_rng(0)
    draws = []
    for first in range(0, rounds, _ROUNDS_AT_ONCE):
        counts = np.zeros((min(_ROUNDS_AT_ONCE, rounds - first), len(sources)), np.int64)
        for part, (names, place) in zip(parts, placed, strict=True):
            number = len(names)
            drawn = rng.multinomial(number, np.full(number, 1 / number), len(counts))
            counts[:, part] = drawn[:, place]
        draws.append(statistic(values, counts))
    figures = np.concatenate(draws)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(figures[np.isfinite(figures)], [tail, 1 - tail])
    (value,) = statistic(values, np.ones((1, len(sources)), np.int64))
    return Estimate(float(value), float(low), float(high))
