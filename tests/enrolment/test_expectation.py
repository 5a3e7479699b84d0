from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizer.enrolment.expectation import binomial_interval


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [  # by scipy.stats.binomtest(count, of).proportion_ci(method="exact")
        (0, 3, 0.0, 0.7075982),
        (2, 3, 0.0942993, 0.9915962),
        (3, 3, 0.2924018, 1.0),
        (5, 10, 0.1870860, 0.8129140),
        (7, 792, 0.0035607, 0.0181252),
    ],
)
def test_exact_intervals(count: int, of: int, low: float, high: float) -> None:
    assert binomial_interval(count, of) == pytest.approx((low, high), abs=1e-6)


@settings(deadline=None)
@given(st.integers(1, 400).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_an_interval_holds_the_share(pair: tuple[int, int]) -> None:
    count, of = pair
    low, high = binomial_interval(count, of)
    assert 0 <= low <= count / of <= high <= 1
    assert binomial_interval(of - count, of) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@pytest.mark.parametrize(("count", "of"), [(0, 1), (1, 1), (2, 3), (40, 500)])
def test_training_says_the_same(count: int, of: int) -> None:
    metrics = pytest.importorskip("recognizer.evaluation.metrics")
    theirs = metrics.share(count, of)
    assert binomial_interval(count, of) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
