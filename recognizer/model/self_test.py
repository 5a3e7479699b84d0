"""Scores of two images that are made in code: recorded at export, compared by the doctor.

They are made by arithmetic in integers, so that they have the same pixels everywhere.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recognizer.imaging import model_input
from recognizer.model.bundle import Bundle
from recognizer.model.description import SelfTest
from recognizer.model.numerics import sigmoid
from recognizer.model.session import open_session

TOLERANCE = 0.05
"""The largest difference of a probability that passes. Float arithmetic differs by 0.013, inputs
that are one gray level off by 0.05 to 0.07, and where int8 overflows, scores by up to 0.6."""

_WIDTH, _HEIGHT = 512, 384


def _pixels(seed: int) -> NDArray[np.uint8]:
    """Return a pale ellipse with rings before a darker, shaded ground, (384, 512, 3)."""
    y, x = np.mgrid[0:_HEIGHT, 0:_WIDTH].astype(np.int64)
    distance = (x - 230 - 40 * seed) ** 2 + (2 + seed) * (y - 190) ** 2
    grain = (x * 7 + y * 13 + x * y * (3 + seed)) % 31
    ground = np.stack([40 + x // 8, 60 + y // 6, 50 + (x + y) // 12], axis=-1)
    body = np.stack([225 - grain, 205 - grain, 170 - grain], axis=-1)
    body -= (distance // 1500 % 2 * 25)[..., None]
    return np.where((distance < 22_000)[..., None], body, ground).astype(np.uint8)


def with_self_test(bundle: Bundle) -> Bundle:
    """Return a bundle that records what its model, which lies in its folder, says here."""
    log_odds = tuple(tuple(map(float, row)) for row in np.round(_log_odds(bundle, "cpu"), 4))
    return replace(bundle, self_test=SelfTest(log_odds=log_odds))


def self_test(bundle: Bundle, provider: str = "cpu") -> float | None:
    """Return the largest difference from the recorded probabilities; None if none are recorded."""
    probabilities = sigmoid(_log_odds(bundle, provider))
    if bundle.self_test is None:
        return None
    return float(np.abs(probabilities - sigmoid(np.array(bundle.self_test.log_odds))).max())


def _log_odds(bundle: Bundle, provider: str) -> NDArray[np.float64]:
    session = open_session(bundle, provider, threads=1)
    inputs = np.stack([model_input(_pixels(seed), bundle.input.size) for seed in range(2)])
    (scores,) = session.run(["scores"], {"images": inputs})
    return np.asarray(scores, np.float64)
