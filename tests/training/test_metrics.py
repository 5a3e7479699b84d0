from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recognizer.training.calibrate import calibrated, fit_calibration, fit_thresholds
from recognizer.training.metrics import (
    average_precision,
    bootstrap,
    recall_at_false_alarm_rate,
    threshold_at_false_alarm_rate,
)

TRUTH = np.array([True, True, False, False, True, False])
SCORES = np.array([0.9, 0.8, 0.7, 0.3, 0.6, 0.1])


def test_average_precision_by_hand() -> None:
    # Found at ranks 1, 2 and 4: precision 1, 1 and 3/4.
    assert average_precision(TRUTH, SCORES) == pytest.approx((1 + 1 + 3 / 4) / 3)


@pytest.mark.parametrize(("rate", "recall"), [(0.0, 2 / 3), (0.34, 1.0), (1.0, 1.0)])
def test_recall_at_false_alarm_rate_by_hand(rate: float, recall: float) -> None:
    assert recall_at_false_alarm_rate(TRUTH, SCORES, rate) == pytest.approx(recall)


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1)), st.floats(0, 1))
def test_no_more_negatives_than_the_rate_allows_are_over_the_threshold(
    scores: np.ndarray, rate: float
) -> None:
    threshold = threshold_at_false_alarm_rate(scores, rate)
    assert (scores > threshold).sum() <= rate * len(scores) + 1e-6


def test_ties_do_not_count_as_found() -> None:
    truth, scores = np.array([True, False]), np.array([0.5, 0.5])
    assert recall_at_false_alarm_rate(truth, scores, 0.0) == 0


def test_bootstrap_interval_holds_the_value_and_narrows_with_more_photos() -> None:
    rng = np.random.default_rng(0)

    def interval(n: int) -> tuple[float, float, float]:
        truth = np.arange(n) % 2 == 0
        scores = rng.normal(truth * 1.0)
        found = bootstrap(average_precision, truth, scores, rounds=200)
        return found.low, found.value, found.high

    small, large = interval(40), interval(2000)
    for low, value, high in (small, large):
        assert low <= value <= high
    assert large[2] - large[0] < small[2] - small[0]


def test_drawing_whole_groups_is_wider_where_a_group_is_of_one_mind() -> None:
    truth = np.repeat([True, False], 50)
    groups = np.array([f"g{i // 10}" for i in range(100)])
    rng = np.random.default_rng(1)
    scores = np.repeat(rng.normal(size=10), 10) + truth
    alone = bootstrap(average_precision, truth, scores, rounds=300)
    together = bootstrap(average_precision, truth, scores, rounds=300, groups=groups)
    assert together.high - together.low > alone.high - alone.low


def test_platt_scaling_recovers_the_odds_it_was_given() -> None:
    rng = np.random.default_rng(0)
    true_log_odds = rng.normal(0, 2, (20000, 1))
    hit = rng.random((20000, 1)) < 1 / (1 + np.exp(-true_log_odds))
    truth = np.where(hit[:, 0], "a", "b")
    shown = np.hstack([true_log_odds * 3 + 1, -true_log_odds])  # over-confident and shifted
    found = fit_calibration(shown, truth.tolist(), ["a", "b"])
    assert found[0].slope == pytest.approx(1 / 3, rel=0.1)
    assert found[0].intercept == pytest.approx(-1 / 3, abs=0.1)
    probability = calibrated(shown, found)[:, 0]
    assert abs(probability.mean() - hit.mean()) < 0.01


def test_a_label_with_few_photos_shares_the_common_fit() -> None:
    rng = np.random.default_rng(0)
    truth = ["a"] * 200 + ["b"] * 200 + ["c"] * 3
    log_odds = rng.normal(0, 1, (403, 3))
    for i, label in enumerate(truth):
        log_odds[i, "abc".index(label)] += 4
    methods = [c.method for c in fit_calibration(log_odds, truth, ["a", "b", "c"])]
    assert methods == ["platt", "platt", "platt_shared"]


def test_thresholds_rise_as_the_rate_falls() -> None:
    scores = np.random.default_rng(0).random(5000)
    found = fit_thresholds(scores)
    assert found["0.05"] < found["0.01"] < found["0.001"]
    for rate, threshold in found.items():
        assert (scores > threshold).mean() <= float(rate)
