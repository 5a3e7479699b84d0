"""Intervals agree with those of scipy, and know that the photos of one source are alike."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, chi2, norm, t

from recognizer.intervals import (
    effective_photos,
    share,
    share_by_source,
    weighted_count,
)
from recognizer.lab.evaluation.metrics import RankedCounts, bootstrap, precision, precision_estimate


@pytest.mark.parametrize("confidence", [0.95, 0.975])
@pytest.mark.parametrize(
    ("count", "of"),
    [
        *((0, 1), (1, 1), (0, 30), (1, 30), (25, 42), (30, 30), (42, 2320)),
        *((1, 1_000_000), (999_999, 1_000_000), (500_000, 1_000_000)),
    ],
)
def test_a_share_has_the_interval_of_clopper_and_pearson(count, of, confidence):
    found, exact = share(count, of, confidence), binomtest(count, of).proportion_ci(confidence)
    assert found.value == count / of
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), rel=1e-6)


@pytest.mark.parametrize(
    "found", [{1.0: 1}, {20.0: 0, 3.0: 4}, {100.0: 1, 1.0: 500}, {2.5: 10_000}]
)
def test_a_weighted_count_has_the_interval_of_fay_and_feuer(found):
    value = sum(w * n for w, n in found.items())
    variance, top = sum(w * w * n for w, n in found.items()), max(found)
    above, variance_above = value + top, variance + top**2
    low = variance / (2 * value) * chi2.ppf(0.025, 2 * value**2 / variance)
    high = variance_above / (2 * above) * chi2.ppf(0.975, 2 * above**2 / variance_above)
    result = weighted_count(found)
    assert result.value == value
    assert result.low == pytest.approx(low, rel=1e-8)
    assert result.high == pytest.approx(max(high, top * chi2.ppf(0.975, 2) / 2), rel=1e-8)
    none = weighted_count({20.0: 0, 1.0: 0})
    assert (none.value, none.low) == (0, 0)
    assert none.high == pytest.approx(20 * chi2.ppf(0.975, 2) / 2)


def test_photos_of_one_source_count_as_few_photos():
    sources = np.array([f"s{i // 10}" for i in range(100)])
    alike = np.arange(100) // 10 % 2 == 0  # all photos of a source score the same
    apart = np.arange(100) % 2 == 0
    student = norm.isf(0.0125) / t.isf(0.0125, 9)
    assert effective_photos(alike, sources) == pytest.approx(10 * student**2)
    assert effective_photos(apart, sources) == 100
    for few, independent in (([50], 1), ([25, 25], 2), ([49, 1], 50**2 / 2402), ([5] * 6, 30)):
        of = np.repeat([*"abcdef"[: len(few)]], few)  # of which all agree
        assert effective_photos(of != "", of) == pytest.approx(independent)
    drawn = np.random.default_rng(0).random(600) < 0.3
    many = np.repeat(np.arange(60), 10).astype(str)
    assert effective_photos(drawn, many) > 450
    # If one has most of what was seen, the interval holds what the others say, too.
    hits = np.r_[np.arange(60) < 20, np.arange(2000) % 160 == 0]
    sources = np.r_[np.zeros(60), 1 + np.arange(2000) // 20].astype(str)
    assert share_by_source(hits, sources).low < hits[60:].mean()


def test_a_bootstrap_by_source_is_as_wide_as_the_sources_are_few():
    """Of 40 sources of positives, half of which is over all negatives."""
    positive, sources = np.arange(1200) < 1000, np.arange(1200) // 25
    scores = np.where(positive, sources % 2, 0.5)

    def interval(of):
        recall = partial(RankedCounts.recall_at, rate=0)
        return bootstrap([recall], positive, scores, of.astype(str), rounds=2000)[0]

    found, alone = interval(sources), interval(np.arange(1200))
    assert found.value == 0.5
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(40), rel=0.1)
    assert alone.high - alone.low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(1000), rel=0.1)
    assert found == interval(sources)  # it draws the same again


@given(st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=5), st.data())
def test_few_sources_never_say_more_than_as_many_photos(sizes, data):
    sources = np.repeat(np.arange(len(sizes)).astype(str), [size for size, _ in sizes])
    hits = np.concatenate([np.full(size, is_hit) for size, is_hit in sizes])
    if data.draw(st.booleans()):
        hits = np.array(data.draw(st.lists(st.booleans(), min_size=len(hits), max_size=len(hits))))
    found, alone = share_by_source(hits, sources), share(hits.mean() * len(sizes), len(sizes))
    assert found.value == pytest.approx(alone.value)
    assert found.low <= alone.low + 1e-9
    assert found.high >= alone.high - 1e-9


def test_precision_by_hand():
    # Of a million photos 300 are products, 270 found; 1 % of the other 999,700 are false positives.
    assert precision(0.9, 0.01, 0.0003) == pytest.approx(270 / (270 + 9997))
    assert precision(0.0, 0.0, 0.0003) is None
    assert precision_estimate(share(0, 5), share(0, 5), 0.0003) is None
    found = precision_estimate(share(9, 10), share(0, 1000), 0.0003)
    assert found.value == 1
    assert found.low < 0.1  # that no false positive was seen proves little


@given(st.integers(0, 20), st.integers(0, 300), st.floats(1e-4, 0.5))
def test_the_interval_holds_the_value(found, alarms, prevalence):
    estimate = precision_estimate(share(found, 20), share(alarms, 300), prevalence)
    if estimate is not None:
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
