"""Turn log-odds into probabilities, on held-out photos.

Platt scaling (Platt, 1999) for each label with enough positives among the validation photos; the
others share one fit over all labels, since two parameters learned from three photos are noise.
The probabilities hold for a mix of photos like the validation split's. In a backlog, where
products are rarer, they are upper bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from recognizer.bundle import sigmoid

FEWEST_POSITIVES = 10
"""A label with fewer positives than this shares the common fit."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The two numbers of a label, and how they were found.

    Attributes:
        slope: probability = sigmoid(slope x log-odds + intercept).
        intercept: see above.
        method: ``platt`` or ``platt_shared``.
        positives: validation photos of the label.
    """

    slope: float
    intercept: float
    method: str
    positives: int


def fit_calibration(
    log_odds: NDArray[np.floating], truth: Sequence[str], labels: Sequence[str]
) -> list[Calibration]:
    """Fit each label's calibration.

    Args:
        log_odds: (N, labels), from the model.
        truth: the N true labels.
        labels: the model's labels in order.
    """
    hits = np.array([[t == label for label in labels] for t in truth])
    shared = _platt(log_odds.ravel(), hits.ravel())
    found = []
    for column, positives in enumerate(hits.sum(axis=0)):
        own = positives >= FEWEST_POSITIVES
        slope, intercept = _platt(log_odds[:, column], hits[:, column]) if own else shared
        method = "platt" if own else "platt_shared"
        found.append(Calibration(slope, intercept, method, int(positives)))
    return found


def _platt(log_odds: NDArray[np.floating], hits: NDArray[np.bool_]) -> tuple[float, float]:
    model = LogisticRegression(C=100.0).fit(log_odds[:, None], hits)
    # A slope of zero or below would turn the order of the scores around.
    return max(float(model.coef_[0, 0]), 1e-3), float(model.intercept_[0])


def calibrated(
    log_odds: NDArray[np.floating], calibration: Sequence[Calibration]
) -> NDArray[np.float64]:
    """Return probabilities, (N, labels), from log-odds of the same shape."""
    slope = np.array([c.slope for c in calibration])
    intercept = np.array([c.intercept for c in calibration])
    return sigmoid(slope * np.asarray(log_odds, np.float64) + intercept)
