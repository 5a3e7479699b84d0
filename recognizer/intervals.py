"""Intervals of shares, weighted counts and figures of photos that share sources.

The desk and the laboratory share these; they need scipy. All are 95 % intervals unless a
function takes another ``confidence``.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import special

from recognizer.model.description import Estimate

CONFIDENCE = 0.95  # coverage of all intervals
JOINT_CONFIDENCE = 1 - (1 - CONFIDENCE) / 2
"""Confidence of each of two intervals, so that both hold at once with :data:`CONFIDENCE`."""

MIN_SOURCES = 6  # of fewer, how alike photos of a source are cannot be estimated


def share(count: float, of: float, confidence: float = CONFIDENCE) -> Estimate:
    """Return a share, perhaps of fractions, with its exact interval (Clopper and Pearson, 1934)."""
    value, tail = count / of, (1 - confidence) / 2
    low = float(special.betaincinv(count, of - count + 1, tail)) if count > 0 else 0.0
    high = float(special.betaincinv(count + 1, of - count, 1 - tail)) if count < of else 1.0
    return Estimate(value, min(low, value), max(high, value))


def weighted_count(counts: Mapping[float, int]) -> Estimate:
    """Return a sum of weighted Poisson counts with its interval (Fay and Feuer, 1997).

    ``counts`` is weight -> how many things of this weight were seen, 0 if some were looked for and
    none was seen. Of the largest weight at least as many as the Poisson bound of none may have been
    missed. The interval covers at least as often as :data:`CONFIDENCE` says.
    """
    if not counts:
        return Estimate(0.0, 0.0, 0.0)
    largest, tail = max(counts), (1 - CONFIDENCE) / 2
    of_none = -largest * math.log(tail)
    value = sum(weight * count for weight, count in counts.items())
    if not value:
        return Estimate(0.0, 0.0, of_none)
    variance = sum(weight**2 * count for weight, count in counts.items())
    low = variance / value * float(special.gammaincinv(value**2 / variance, tail))
    value_up, variance_up = value + largest, variance + largest**2
    quantile = float(special.gammaincinv(value_up**2 / variance_up, 1 - tail))
    high = variance_up / value_up * quantile
    return Estimate(float(value), low, max(high, of_none))


def effective_photos(hits: NDArray[np.bool_], sources: NDArray[np.str_]) -> float:
    """Return how many independent photos say as much as N photos of which some share a source.

    The smaller of two estimates: by how much ``hits``, (N,), vary among sources (Korn and Graubard,
    1998), and by how alike two photos of a source are (analysis of variance). Of fewer than six
    sources, which say nothing of it, they are at most n^2 / sum(m^2) with m photos each (Kish).
    """
    _, place, n = np.unique(sources, return_inverse=True, return_counts=True)
    own, mean, total = np.bincount(place, weights=hits), float(hits.mean()), len(hits)
    alike, degrees = total**2 / float((n**2).sum()), len(n) - 1
    drawn = mean * (1 - mean) * total
    spread = float(((own - mean * n) ** 2).sum()) / drawn if drawn else 1.0
    correlation = 0.0
    if drawn and degrees and total > len(n):
        between = float((n * (own / n - mean) ** 2).sum()) / degrees
        within = float((own * (1 - own / n)).sum()) / (total - len(n))
        size = (total - total / alike) / degrees
        correlation = min(max((between - within) / (between + (size - 1) * within), 0.0), 1.0)
    design = max(1 + (total / alike - 1) * correlation, spread)
    number = total / design
    if design > 1:  # few sources say little of how alike photos are
        tail = (1 + JOINT_CONFIDENCE) / 2
        number *= (special.ndtri(tail) / special.stdtrit(degrees, tail)) ** 2
    return float(number if len(n) >= MIN_SOURCES else min(number, alike))


def share_by_source(
    hits: NDArray[np.bool_], sources: NDArray[np.str_], confidence: float = CONFIDENCE
) -> Estimate:
    """Return the share of N photos that are ``hits``, (N,), with an interval that knows sources.

    It is the exact interval of :func:`effective_photos`; photos of one source count as one photo.
    """
    number = effective_photos(hits, sources)
    return share(float(hits.mean()) * number, number, confidence)
