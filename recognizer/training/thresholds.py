"""Turn false-alarm rates into thresholds, on photos that show no product."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from recognizer.bundle import FALSE_ALARM_RATES


def threshold_at_false_alarm_rate(negative_scores: NDArray[np.floating], rate: float) -> float:
    """Return the smallest threshold that at most ``rate`` of the negatives exceed.

    A score counts as over the threshold when it is greater. With n negatives, floor(rate x n) may
    exceed it: at fewer than 1 / rate negatives that is none.
    """
    allowed = int(np.floor(rate * len(negative_scores) + 1e-9))
    return float(np.sort(negative_scores)[::-1][min(allowed, len(negative_scores) - 1)])


def fit_thresholds(negative_scores: NDArray[np.float64]) -> dict[str, float]:
    """Return the threshold for each named false-alarm rate.

    Args:
        negative_scores: calibrated scores of the validation photos that are no product.
    """
    return {
        # Rounded upwards: a threshold that was rounded down would let one more negative pass.
        rate: math.ceil(1e6 * threshold_at_false_alarm_rate(negative_scores, float(rate))) / 1e6
        for rate in FALSE_ALARM_RATES
    }
