"""Regularised logistic regression in numpy: serving machines have neither scikit-learn nor scipy.

L-BFGS with the two-loop recursion and a backtracking line search (Nocedal and Wright, Numerical
Optimization, 2nd edition, algorithms 7.4 and 3.1), on a convex and smooth objective.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from recognizer.model.bundle import sigmoid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

_LEAST_SPREAD = 0.1  # of the mean over all channels
_MEMORY = 12  # pairs of steps and gradient changes that stand for the curvature
_MOST_STEPS = 500
_PRECISION = 1e-6  # of the largest component of the gradient
_SUFFICIENT = 1e-4  # share of the decrease that the gradient promises (Armijo)


def standardisation(
    rows: NDArray[np.floating],
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return the mean and the spread of each channel, to bring features to one scale.

    A channel that hardly moves among the rows says little, however far another photo is out: its
    spread counts as a share of that of the others at least.

    Args:
        rows: (N, channels).

    Returns:
        Both (channels,), in the rows' precision.
    """
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    return mean, np.maximum(spread, _LEAST_SPREAD * spread.mean() + 1e-9)


def fit_logistic(
    features: NDArray[np.float64],
    targets: NDArray[np.float64],
    weights: NDArray[np.float64],
    penalty: float,
) -> tuple[NDArray[np.float64], float]:
    """Minimise ``sum(weights x cross-entropy) + penalty / 2 x |coefficients|^2``.

    Args:
        features: (N, channels).
        targets: (N,), the probability of each row's being positive, 0 to 1.
        weights: (N,), of the rows, 0 or above.
        penalty: above 0; the intercept is not penalised.

    Returns:
        Coefficients (channels,) and intercept.
    """

    def objective(parameters: Vector) -> tuple[float, Vector]:
        coefficients, intercept = parameters[:-1], parameters[-1]
        log_odds = features @ coefficients + intercept
        loss = weights @ (np.logaddexp(0, log_odds) - targets * log_odds)
        error = weights * (sigmoid(log_odds) - targets)
        gradient = np.append(features.T @ error + penalty * coefficients, error.sum())
        return float(loss + penalty / 2 * coefficients @ coefficients), gradient

    found = _minimise(objective, np.zeros(features.shape[1] + 1))
    return found[:-1], float(found[-1])


def _minimise(objective: Callable[[Vector], tuple[float, Vector]], start: Vector) -> Vector:
    place = start
    value, gradient = objective(place)
    pairs: list[tuple[Vector, Vector]] = []
    for _ in range(_MOST_STEPS):
        if np.abs(gradient).max() <= _PRECISION:
            break
        direction = -_inverse_hessian(pairs, gradient)
        slope = float(gradient @ direction)
        length = 1.0 if pairs else min(1.0, 1.0 / float(np.abs(gradient).sum()))
        while True:
            step = length * direction
            new_value, new_gradient = objective(place + step)
            if new_value <= value + _SUFFICIENT * length * slope:
                break
            length /= 2
            if length < 1e-12:  # as good as the arithmetic allows
                return place
        change = new_gradient - gradient
        if step @ change > 1e-12 * float(change @ change):
            pairs = [*pairs[1 - _MEMORY :], (step, change)]
        place, value, gradient = place + step, new_value, new_gradient
    return place


def _inverse_hessian(pairs: list[tuple[Vector, Vector]], gradient: Vector) -> Vector:
    """Return the approximate inverse Hessian times the gradient."""
    result = gradient.copy()
    shares = []
    for step, change in reversed(pairs):
        share = step @ result / (step @ change)
        shares.append(share)
        result -= share * change
    if pairs:
        step, change = pairs[-1]
        result *= step @ change / (change @ change)
    for (step, change), share in zip(pairs, reversed(shares), strict=True):
        result += (share - change @ result / (step @ change)) * step
    return result
