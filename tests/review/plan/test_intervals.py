"""Intervals of photos that are alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.evaluation.metrics import share
from recognizer.review.plan.intervals import UNKNOWN, Clustering, exact_interval, weighted_mean


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_independent_photos_have_the_exact_interval(pair: tuple[int, int]) -> None:
    hits, photos = pair
    found, exact = exact_interval(hits / photos, photos, 0.95), share(hits, photos)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_photos_that_are_the_same_count_once_for_each_source() -> None:
    rng = np.random.default_rng(0)
    sources = np.repeat([f"s{i}" for i in range(60)], 10)
    same = np.repeat(rng.random(60) < 0.3, 10)[None]
    alike = Clustering.of(same, sources, np.zeros(600, np.str_))
    assert alike.correlation == pytest.approx(1)
    assert alike.effective(sources, 0.95) == pytest.approx(60, rel=0.1)
    apart = Clustering.of(rng.random((1, 600)) < 0.3, sources, np.zeros(600, np.str_))
    assert apart.effective(sources, 0.95) > 450


def test_a_weighted_mean_of_one_part_is_that_part() -> None:
    part = share(3, 10)
    mean = weighted_mean({"a": 1.0}, {"a": part})
    assert (mean.value, mean.low, mean.high) == pytest.approx((part.value, part.low, part.high))
    half = weighted_mean({"a": 0.5, "b": 0.5}, {"a": part, "b": UNKNOWN})
    assert half.value == pytest.approx(0.15)
    assert half.high > 0.5
