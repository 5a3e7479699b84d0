"""Intervals of shares of photos, where photos of one source are alike.

They are exact binomial ones (Clopper and Pearson) for the *effective* number of photos, as surveys
compute them (Korn and Graubard, 1998): n / (1 + (m - 1) r) with the size m of the sources and the
correlation r of the photos within one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv
from scipy.stats import norm, t

from recognizer.model.description import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustering:
    """How alike the photos of one source are.

    Attributes:
        correlation: of two photos of one source, in being over a threshold; 0 to 1.
        degrees: sources that say so, less the groups that they were compared within; 0 where
            nothing can be said.
    """

    correlation: float
    degrees: int

    @classmethod
    def of(
        cls, over: NDArray[np.bool_], sources: NDArray[np.str_], groups: NDArray[np.str_]
    ) -> Clustering:
        """Estimate the correlation by the analysis of variance, pooled over thresholds and groups.

        Args:
            over: (thresholds, N): which photos are over.
            sources: (N,).
            groups: (N,): photos are compared with those of their group.
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
            return cls(correlation=0.0, degrees=degrees_between)
        between, within = between / degrees_between, within / degrees_within
        size /= degrees_between
        correlation = (between - within) / (between + (size - 1) * within)
        return cls(correlation=min(max(correlation, 0.0), 1.0), degrees=degrees_between)

    def effective(self, sources: NDArray[np.str_], confidence: float) -> float:
        """Return how many independent photos say as much as these.

        Args:
            sources: of the photos, (N,).
            confidence: of the interval that is to be computed, two-sided.
        """
        photos = np.unique(sources, return_counts=True)[1]
        size = (photos**2).sum() / max(photos.sum(), 1)
        number = len(sources) / (1 + (size - 1) * self.correlation)
        if self.degrees and self.correlation:  # few sources say little of how alike photos are
            tail = (1 - confidence) / 2
            number *= (norm.isf(tail) / t.isf(tail, self.degrees)) ** 2
        return float(number)


def exact_interval(share: float, photos: float, confidence: float) -> Estimate:
    """Return a share of any number of photos, a fraction of one too, with its exact interval."""
    tail = (1 - confidence) / 2
    hits = share * photos
    low = float(betaincinv(hits, photos - hits + 1, tail)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, photos - hits, 1 - tail)) if hits < photos else 1.0
    return Estimate(value=share, low=min(low, share), high=max(high, share))


UNKNOWN = Estimate(value=0.0, low=0.0, high=1.0)
"""A share of which nothing is known, counted as none."""


def weighted_mean(weights: Mapping[str, float], parts: Mapping[str, Estimate]) -> Estimate:
    """Return a mean of independent shares with its interval (MOVER: Zou and Donner, 2008).

    The distances from the values to the ends of the intervals add up in squares.

    Args:
        weights: they sum to 1.
        parts: the shares, for the names in ``weights``.
    """
    value = sum(w * parts[name].value for name, w in weights.items())
    below = math.hypot(*(w * (parts[n].value - parts[n].low) for n, w in weights.items()))
    above = math.hypot(*(w * (parts[n].high - parts[n].value) for n, w in weights.items()))
    return Estimate(value=value, low=max(0.0, value - below), high=min(1.0, value + above))
