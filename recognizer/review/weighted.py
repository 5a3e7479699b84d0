"""Sums over a weighted sample: each image that was looked at stands for several like it."""

from __future__ import annotations

from collections.abc import Mapping

from scipy.stats import chi2

from recognizer.evaluation.metrics import CONFIDENCE
from recognizer.model.description import Estimate


def weighted_count(found: Mapping[float, int], confidence: float = CONFIDENCE) -> Estimate:
    """Return a sum of weighted Poisson counts with its interval (Fay and Feuer, 1997).

    Args:
        found: weight -> how many things of this weight were seen; 0 where some were looked for, and
            none was seen. Of the largest weight at least as many as the Poisson bound of none may
            have been missed.
        confidence: of the interval, which covers at least this often.
    """
    if not found:
        return Estimate(0.0, 0.0, 0.0)
    largest, tail = max(found), (1 - confidence) / 2
    of_none = largest * float(chi2.ppf(1 - tail, 2) / 2)
    value = sum(weight * count for weight, count in found.items())
    if not value:
        return Estimate(0.0, 0.0, of_none)
    variance = sum(weight**2 * count for weight, count in found.items())
    low = variance / (2 * value) * chi2.ppf(tail, 2 * value**2 / variance)
    value_up, variance_up = value + largest, variance + largest**2
    high = variance_up / (2 * value_up) * chi2.ppf(1 - tail, 2 * value_up**2 / variance_up)
    return Estimate(float(value), float(low), max(float(high), of_none))
