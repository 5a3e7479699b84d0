"""Thresholds at named false-positive rates; and whether a smoothed tail holds its rate better."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recognizer.evaluation.thresholds import expected_threshold, fit_thresholds, threshold_at_fpr
from recognizer.model.numerics import sigmoid

Draw = Callable[[np.random.Generator, int], np.ndarray]


def _mixed(rng: np.random.Generator, count: int) -> np.ndarray:
    """One negative in fifty looks like the product."""
    return np.where(rng.random(count) < 0.02, rng.normal(3, 1, count), rng.normal(0, 1, count))


LOG_ODDS: dict[str, Draw] = {
    "normal": lambda rng, n: rng.normal(-4, 2, n),
    "logistic": lambda rng, n: rng.logistic(-4, 1, n),
    "mixed": _mixed,
}


@pytest.mark.parametrize("shape", LOG_ODDS)
@pytest.mark.parametrize("count", [400, 800])
def test_the_smoothed_tail_holds_its_rate_better_than_the_highest_score(
    shape: str, count: int
) -> None:
    """At 0.1 %, over 200 draws of negatives, on further negatives of the same kind."""
    rng = np.random.default_rng(0)
    further = np.sort(sigmoid(LOG_ODDS[shape](rng, 200_000)))
    errors: dict[str, list[float]] = {"smoothed": [], "empirical": []}
    for _ in range(200):
        scores = sigmoid(LOG_ODDS[shape](rng, count))
        for name, threshold in (
            ("smoothed", expected_threshold(scores, 0.001)),
            ("empirical", threshold_at_fpr(scores, 0.001)),
        ):
            over = 1 - np.searchsorted(further, threshold, side="right") / len(further)
            errors[name].append(over / 0.001 - 1)
    size = {name: np.abs(found).mean() for name, found in errors.items()}
    assert size["smoothed"] < 0.85 * size["empirical"]


negatives = arrays(np.float64, st.integers(1, 200), elements=st.floats(0, 1))


@given(negatives)
def test_thresholds_are_probabilities_that_rise_as_the_rate_falls(scores: np.ndarray) -> None:
    found = fit_thresholds(scores)
    assert 0 <= found[0.05] <= found[0.01] + 1e-6
    assert found[0.01] <= found[0.001] + 1e-6
    assert found[0.001] <= 1


def test_a_threshold_of_many_negatives_is_the_empirical_one() -> None:
    scores = np.random.default_rng(0).random(5000)
    found = fit_thresholds(scores)
    assert found[0.05] < found[0.01] < found[0.001]
    for rate, threshold in found.items():
        assert (scores > threshold).mean() <= float(rate)
        assert expected_threshold(scores, rate) == threshold_at_fpr(scores, rate)


@pytest.mark.parametrize("score", [0.0, 0.3, 1.0])
def test_scores_that_are_all_alike_do_not_pass(score: float) -> None:
    scores = np.full(50, score)
    for threshold in fit_thresholds(scores).values():
        assert threshold >= min(score, 1 - 1e-6)
