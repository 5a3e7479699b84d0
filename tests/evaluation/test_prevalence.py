import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.evaluation.metrics import share
from recognizer.evaluation.prevalence import operating_point, precision, precision_estimate
from recognizer.model.description import Estimate


def test_precision_by_hand() -> None:
    # Of a million photos 300 are products, 270 found; 1 % of the other 999,700 are false positives.
    assert precision(0.9, 0.01, 0.0003) == pytest.approx(270 / (270 + 9997))
    assert precision(0.0, 0.0, 0.0003) is None
    assert precision_estimate(share(0, 5), share(0, 5), 0.0003) is None
    found = precision_estimate(share(9, 10), share(0, 1000), 0.0003)
    assert found.value == 1
    assert found.low < 0.1  # that no false positive was seen proves little


@given(st.integers(0, 20), st.integers(0, 300), st.floats(1e-4, 0.5))
def test_the_interval_holds_the_value(found: int, alarms: int, prevalence: float) -> None:
    estimate = precision_estimate(share(found, 20), share(alarms, 300), prevalence)
    if estimate is not None:
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_an_operating_point_counts_what_is_over_the_threshold() -> None:
    negatives = np.linspace(0, 0.999, 1000)
    point = operating_point(0.01, 0.99, np.array([0.5, 0.99, 0.995, 1.0]), negatives, 0.01)
    assert point.recall.value == 0.5  # a score at the threshold is not over it
    assert point.false_positives == 9
    assert point.false_positive_rate.value == 0.009
    assert point.precision.value == pytest.approx(0.005 / (0.005 + 0.99 * 0.009))
    sure = operating_point(0.01, 0.5, np.ones(10), np.zeros(100), 0.001)
    assert sure.precision_in_words.startswith("at least ")
    without = operating_point(0.01, 0.5, np.array([]), np.zeros(100), 0.001)
    assert (without.recall, without.precision) == (None, None)
    assert isinstance(without.false_positive_rate, Estimate)
