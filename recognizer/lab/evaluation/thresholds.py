"""Thresholds for false-positive rates, from photos that show no product.

If a rate allows fewer than five negatives, the tail is smoothed: above a high score, log-odds fall
off about exponentially (Pickands, 1975), and their mean excess is better known than the maximum.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from recognizer.model.numerics import logit, sigmoid
from recognizer.policy.values import FALSE_POSITIVE_RATES

MIN_OVER = 5  # negatives that an empirical threshold leaves above it; with fewer it is smoothed

_TAIL_SHARE = 0.05  # the highest scores that make the tail, as a share of all negatives,
_TAIL_PHOTOS = 30  # and at least as many as this


def threshold_at_fpr(negative_scores: NDArray[np.floating], rate: float) -> float:
    """Return the smallest threshold that at most ``rate`` of the negatives exceed.

    A score counts as over the threshold when it is greater. With n negatives, floor(rate x n) may
    exceed it: at fewer than 1 / rate negatives that is none.
    """
    allowed = int(np.floor(rate * len(negative_scores) + 1e-9))
    return float(np.sort(negative_scores)[::-1][min(allowed, len(negative_scores) - 1)])


def expected_log_odds(negative_log_odds: NDArray[np.floating], rate: float) -> float:
    """Return the threshold that a share ``rate`` of *further* such negatives is expected to exceed.

    The rate is above 0. If the N log-odds, N at least 1, are shifted or stretched, as a calibration
    does, the threshold moves with them.
    """
    count = len(negative_log_odds)
    if not (tail := _tail(count, rate)):
        return threshold_at_fpr(negative_log_odds, rate)
    log_odds = np.sort(negative_log_odds)[::-1]
    start = log_odds[tail]
    excess = float((log_odds[:tail] - start).mean())
    smoothed = start + excess * np.log(tail / count / rate)
    # Never below the threshold of a rate for which the negatives suffice.
    return float(max(smoothed, log_odds[min(MIN_OVER, tail)]))


def _tail(count: int, rate: float) -> int:
    # How many scores are smoothed; none if the rate allows enough negatives.
    tail = min(max(_TAIL_PHOTOS, int(_TAIL_SHARE * count)), count // 2)
    return tail if rate * count < min(MIN_OVER - 1e-9, tail) else 0


def fit_thresholds(negative_scores: NDArray[np.float64]) -> dict[float, float]:
    """Return the threshold for each named rate, from calibrated scores without a product."""
    return {
        # Rounded upwards: a threshold that was rounded down would let one more negative pass.
        rate: math.ceil(1e6 * sigmoid(expected_log_odds(logit(negative_scores), rate))) / 1e6
        for rate in FALSE_POSITIVE_RATES
    }


def raised(before: Mapping[float, float], now: Mapping[float, float]) -> dict[float, float]:
    """Return the higher of two thresholds for each rate; the former may rest on more photos."""
    return {rate: max(before.get(rate, 0.0), now[rate]) for rate in now}
