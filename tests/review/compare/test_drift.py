from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.review.compare.drift import BINS, Histogram, _edges, drift

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=60)


def histogram(scores: list[float]) -> Histogram:
    found = Histogram()
    for score in scores:
        found.add(score)
    return found


@given(SCORES)
def test_a_sample_does_not_drift_from_itself(scores: list[float]) -> None:
    same = drift(histogram(scores), histogram(scores))
    assert same.psi == pytest.approx(0)
    assert not same.is_changed
    assert same.mean_before == same.mean_after == pytest.approx(np.mean(scores))


@given(SCORES, SCORES)
def test_the_index_is_never_negative(before: list[float], after: list[float]) -> None:
    found = drift(histogram(before), histogram(after))
    assert found.psi is not None
    assert found.psi >= -1e-12
    assert found.chance is not None
    assert found.chance >= 0


@given(SCORES)
def test_no_score_is_lost_between_bins(scores: list[float]) -> None:
    counts = histogram(scores).counts
    edges = _edges(counts)
    assert edges[0] == 0
    assert 1 <= len(edges) <= BINS
    assert np.add.reduceat(counts, edges).sum() == len(scores)


def test_it_is_the_usual_index() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.beta(2, 5, 20_000), rng.beta(2.4, 5, 20_000)
    edges = np.quantile(before, np.arange(1, 10) / 10)
    p, q = (
        np.bincount(np.searchsorted(edges, one), minlength=10) / len(one) for one in (before, after)
    )
    found = drift(histogram(before.tolist()), histogram(after.tolist()))
    assert found.psi == pytest.approx(float(((q - p) * np.log(q / p)).sum()), rel=0.1)


def test_chance_is_exceeded_in_one_case_of_twenty() -> None:
    rng = np.random.default_rng(0)
    exceeded = []
    for _ in range(400):
        found = drift(
            histogram(rng.beta(1, 9, 150).tolist()), histogram(rng.beta(1, 9, 90).tolist())
        )
        exceeded.append((found.psi or 0) > (found.chance or 0))
    assert 0.02 < np.mean(exceeded) < 0.09


def test_a_large_change_is_told_and_a_small_sample_is_not() -> None:
    low, high = histogram([0.01] * 500 + [0.1] * 500), histogram([0.2] * 500 + [0.6] * 500)
    assert drift(low, high).is_large
    few = drift(histogram([0.1, 0.2, 0.3]), histogram([0.2, 0.25, 0.9]))
    assert not few.is_changed
    nothing = drift(Histogram(), low)
    assert (nothing.psi, nothing.chance, nothing.is_changed, nothing.mean_before) == (
        None,
        None,
        False,
        None,
    )
