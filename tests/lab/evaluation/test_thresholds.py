"""Thresholds at named false-positive rates; and whether a smoothed tail holds its rate better."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recognizer.lab.evaluation.thresholds import (
    expected_threshold,
    fit_thresholds,
    threshold_at_fpr,
)
from recognizer.model.numerics import sigmoid


def drawn(rng: np.random.Generator, count: int) -> np.ndarray:
    """Scores of negatives, of which one in fifty looks like the product."""
    alike = rng.random(count) < 0.02
    return sigmoid(np.where(alike, rng.normal(3, 1, count), rng.normal(0, 1, count)))


def test_the_smoothed_tail_holds_its_rate_better_than_the_highest_score():
    """At 0.1 %, over 200 draws of 400 negatives, on further negatives of the same kind."""
    rng = np.random.default_rng(0)
    further, draws = np.sort(drawn(rng, 200_000)), [drawn(rng, 400) for _ in range(200)]

    def error(thresholds: list[float]) -> float:
        over = 1 - np.searchsorted(further, thresholds, side="right") / len(further)
        return float(np.abs(over / 0.001 - 1).mean())

    smoothed = error([expected_threshold(scores, 0.001) for scores in draws])
    assert smoothed < 0.85 * error([threshold_at_fpr(scores, 0.001) for scores in draws])


negatives = arrays(np.float64, st.integers(1, 200), elements=st.floats(0, 1))


@given(negatives)
def test_thresholds_are_probabilities_that_rise_as_the_rate_falls(scores):
    found = fit_thresholds(scores)
    assert 0 <= found[0.05] <= found[0.01] + 1e-6
    assert found[0.01] <= found[0.001] + 1e-6
    assert found[0.001] <= 1


def test_a_threshold_of_many_negatives_is_the_empirical_one():
    scores = np.random.default_rng(0).random(5000)
    found = fit_thresholds(scores)
    assert found[0.05] < found[0.01] < found[0.001]
    for rate, threshold in found.items():
        assert (scores > threshold).mean() <= float(rate)
        assert expected_threshold(scores, rate) == threshold_at_fpr(scores, rate)
