"""Small numerics that serving, enrolment, training and evaluation share, so that they agree."""

import numpy as np
from numpy.typing import NDArray


def sigmoid(values: NDArray[np.floating] | float) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-values)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(values, np.float64))), np.float64)


def logit(probabilities: NDArray[np.floating] | float) -> NDArray[np.float64]:
    """Return log-odds, of which :func:`sigmoid` is the inverse; 0 and 1 count as 1e-9 from them."""
    clipped = np.clip(np.asarray(probabilities, np.float64), 1e-9, 1 - 1e-9)
    return np.asarray(np.log(clipped) - np.log1p(-clipped), np.float64)


def unit_norm(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors (N, channels) scaled to length one; a vector of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)
