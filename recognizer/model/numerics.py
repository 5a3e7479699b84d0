"""Small numerics that serving, enrolment, training and evaluation share, so that they agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MIN_SPREAD = 0.1  # of the mean over all channels


def sigmoid(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-values)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(values, np.float64))), np.float64)


def unit_norm(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors (N, channels) scaled to length one; a vector of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def standardisation(
    rows: NDArray[np.floating],
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return the mean and the spread of each channel, to bring rows (N, channels) to one scale.

    A channel that hardly varies means little, however far another image is out. So its spread
    counts as at least a tenth of the mean spread.
    """
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    return mean, np.maximum(spread, _MIN_SPREAD * spread.mean() + 1e-9)
