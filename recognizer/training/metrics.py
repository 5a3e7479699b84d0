"""Detection metrics with bootstrap intervals.

A *false alarm* is a photo that is no product (or not of the family in question) and scores over
the threshold; the false-alarm rate is the share of negatives that do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

Truth: TypeAlias = NDArray[np.bool_]
Scores: TypeAlias = NDArray[np.floating]
Metric: TypeAlias = Callable[[Truth, Scores], float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval.

    Attributes:
        value: on all photos.
        low: lower end of the 95 % bootstrap interval.
        high: upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.2f}-{self.high:.2f})"


def average_precision(positive: Truth, scores: Scores) -> float:
    """Return the area under the precision-recall curve (scikit-learn's step-wise sum)."""
    return float(average_precision_score(positive, scores))


def area_under_roc(positive: Truth, scores: Scores) -> float:
    """Return the probability that a positive scores above a negative."""
    return float(roc_auc_score(positive, scores))


def threshold_at_false_alarm_rate(negative_scores: Scores, rate: float) -> float:
    """Return the smallest threshold that at most ``rate`` of the negatives exceed.

    A score counts as over the threshold when it is greater. With n negatives, floor(rate x n) may
    exceed it: at fewer than 1 / rate negatives that is none.
    """
    allowed = int(np.floor(rate * len(negative_scores) + 1e-9))
    return float(np.sort(negative_scores)[::-1][min(allowed, len(negative_scores) - 1)])


def recall_at_false_alarm_rate(positive: Truth, scores: Scores, rate: float) -> float:
    """Return the share of positives over the threshold of :func:`threshold_at_false_alarm_rate`."""
    threshold = threshold_at_false_alarm_rate(scores[~positive], rate)
    return float((scores[positive] > threshold).mean())


def bootstrap(
    metric: Metric,
    positive: Truth,
    scores: Scores,
    *,
    rounds: int = 1000,
    seed: int = 0,
    groups: NDArray[np.str_] | None = None,
) -> Estimate:
    """Return a metric with its 95 % percentile interval.

    Positives and negatives are drawn apart, so that every round has both.

    Args:
        metric: takes truth and scores.
        positive: bool, (N,).
        scores: float, (N,).
        rounds: bootstrap rounds.
        seed: of the draws.
        groups: (N,) names; where given, whole groups are drawn instead of photos, which is the
            honest width where the photos of a group (a source) are alike.
    """
    rng = np.random.default_rng(seed)
    pools = [_pools(np.flatnonzero(side), groups) for side in (positive, ~positive)]
    values = np.empty(rounds)
    for i in range(rounds):
        chosen = np.concatenate([_redraw(pool, rng) for pool in pools])
        values[i] = metric(positive[chosen], scores[chosen])
    low, high = np.quantile(values, [0.025, 0.975])
    return Estimate(metric(positive, scores), float(low), float(high))


def _pools(
    members: NDArray[np.intp], groups: NDArray[np.str_] | None
) -> list[NDArray[np.intp]] | NDArray[np.intp]:
    if groups is None:
        return members
    return [members[groups[members] == name] for name in np.unique(groups[members])]


def _redraw(
    pool: list[NDArray[np.intp]] | NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.intp]:
    drawn = rng.integers(len(pool), size=len(pool))
    if isinstance(pool, list):
        return np.concatenate([pool[i] for i in drawn])
    return pool[drawn]
