"""How far the distribution of a score has moved: the population stability index (PSI).

The PSI is the sum over bins of (q - p) ln(q / p), where p and q are the shares of the two samples;
it is 0 where they are alike. Usual rules of thumb call 0.1 a change and 0.25 a large one. In small
samples chance alone makes it large: what chance exceeds in one case of twenty is given with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BINS = 10
"""Bins of about equal shares of the first sample."""

CHANGED = 0.1
LARGE = 0.25

_CELLS = 280  # of the histogram, from log-odds of -14 to 14; a score has six digits
_RANGE = 14.0
_NORMAL_95 = 1.6449  # quantile of the standard normal distribution
_PRIOR = 0.5  # added to the count of each bin, since some are empty


@dataclass(slots=True)
class Histogram:
    """Scores from 0 to 1, counted in cells of equal width in log-odds."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_CELLS, np.int64))
    total: float = 0.0

    def add(self, score: float) -> None:
        """Count a score."""
        odds = math.log(max(score, 1e-7) / max(1 - score, 1e-7))
        cell = int((odds + _RANGE) / (2 * _RANGE) * _CELLS)
        self.counts[min(max(cell, 0), _CELLS - 1)] += 1
        self.total += score

    @property
    def size(self) -> int:
        """How many scores it has."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float | None:
        """The mean score; None without one."""
        return self.total / self.size if self.size else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How far one score has moved between two samples.

    Attributes:
        before: images of the first sample that have the score.
        after: images of the second.
        mean_before: the mean score of the first.
        mean_after: that of the second.
        psi: the population stability index; None where a sample is empty.
        chance: what chance alone exceeds in one case of twenty, were nothing changed.
    """

    before: int
    after: int
    mean_before: float | None
    mean_after: float | None
    psi: float | None
    chance: float | None

    @property
    def is_changed(self) -> bool:
        """Whether it is beyond both chance and the rule of thumb."""
        return self.psi is not None and self.psi > max(CHANGED, self.chance or 0.0)

    @property
    def is_large(self) -> bool:
        """Whether it is a large change."""
        return self.is_changed and (self.psi or 0.0) > LARGE


def drift(before: Histogram, after: Histogram) -> Drift:
    """Compare two samples of a score."""
    psi = chance = None
    if before.size and after.size:
        edges = _edges(before.counts)
        first, second = (np.add.reduceat(one.counts, edges) for one in (before, after))
        psi = _psi(first, second)
        degrees = len(edges) - 1
        chance = (1 / before.size + 1 / after.size) * _chi_square_95(degrees)
    return Drift(
        before=before.size,
        after=after.size,
        mean_before=before.mean,
        mean_after=after.mean,
        psi=psi,
        chance=chance,
    )


def _edges(counts: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return where bins begin that hold about equal shares; cells are not split."""
    shares = np.cumsum(counts) / counts.sum()
    inner = np.searchsorted(shares, np.arange(1, BINS) / BINS) + 1
    return np.unique([0, *inner[inner < len(counts)]])


def _psi(before: NDArray[np.int64], after: NDArray[np.int64]) -> float:
    p, q = ((one + _PRIOR) / (one + _PRIOR).sum() for one in (before, after))
    return float(((q - p) * np.log(q / p)).sum())


def _chi_square_95(degrees: int) -> float:
    """Return the 95 % quantile of chi-square, as Wilson and Hilferty (1931) approximate it."""
    if degrees < 1:
        return 0.0
    part = 2 / (9 * degrees)
    return float(degrees * (1 - part + _NORMAL_95 * math.sqrt(part)) ** 3)
