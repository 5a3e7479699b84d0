import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score

from recognizer.intervals import share_by_source
from recognizer.lab.evaluation.figures import Target, Truth, figures_of, operating_points
from recognizer.lab.evaluation.metrics import RankedCounts, bootstrap, rank
from recognizer.lab.evaluation.thresholds import (
    expected_log_odds,
    fit_thresholds,
    threshold_at_fpr,
)
from recognizer.model.description import Estimate
from recognizer.model.numerics import logit, sigmoid
from recognizer.taxonomy import load_taxonomy


@st.composite
def ranked_photos(draw):
    """Truth with both kinds, and scores in few steps, so that there are ties."""
    truth = np.array([True, False, *draw(st.lists(st.booleans(), max_size=40))])
    return truth, draw(arrays(np.float64, len(truth), elements=st.integers(0, 9).map(float)))


@given(ranked_photos())
def test_average_precision_is_that_of_scikit_learn(photos):
    truth, scores = photos
    expected = average_precision_score(truth, scores)
    assert rank(truth, scores).average_precision() == pytest.approx(expected)


@given(ranked_photos(), st.floats(0, 1))
def test_recall_is_what_is_over_the_threshold(photos, rate):
    truth, scores = photos
    expected = (scores[truth] > threshold_at_fpr(scores[~truth], rate)).mean()
    assert rank(truth, scores).recall_at(rate) == pytest.approx(expected)


def test_a_paired_interval_knows_what_is_hard_for_both():
    rng = np.random.default_rng(2)
    truth = np.arange(300) % 3 == 0
    before = rng.normal(size=300) + truth
    now = before + 0.1 * truth  # a little better on the same photos
    metrics, of = [RankedCounts.average_precision], np.arange(300).astype(str)
    (paired,) = bootstrap(metrics, truth, now, of, against=before, rounds=300)
    one, other = (bootstrap(metrics, truth, s, of, rounds=300)[0] for s in (now, before))
    assert paired.value == pytest.approx(one.value - other.value)
    assert 0 < paired.low < paired.value < paired.high
    assert other.high > one.low  # apart, the two intervals could not tell them


def test_the_interval_of_few_sources_says_nothing():
    """They may all be alike: bootstrapping three, of which each has all, would promise 1 to 1."""
    positive, scores = np.arange(60) < 30, np.arange(60)[::-1].astype(float)
    of = np.array([f"n{i % 10}" for i in range(60)])
    for few, low in ((5, 0), (6, 1)):
        sources = np.where(positive, [f"p{i % few}" for i in range(60)], of)
        (found,) = bootstrap([RankedCounts.average_precision], positive, scores, sources)
        assert (found.value, found.low, found.high) == (1, low, 1)


def test_recall_allows_for_the_threshold():
    """Two of ten sources of negatives score high: without them most positives are over."""
    rng = np.random.default_rng(0)
    positive, sources = np.arange(400) < 200, (np.arange(400) // 20).astype(str)
    high = np.isin(sources, ["18", "19"])
    scores = rng.normal(size=400) + 2 * positive + 2 * high
    truth = Truth(sources, sources, ~positive, load_taxonomy())
    found = figures_of("", positive, scores, truth, rounds=200).recall[0.05]
    over = scores[positive] > threshold_at_fpr(scores[~positive], 0.05)
    fixed = share_by_source(over, sources[positive])
    assert found.value == fixed.value
    assert found.low <= fixed.low
    assert found.high > fixed.high + 0.2


def test_an_operating_point_counts_what_is_over_the_threshold():
    def measure(threshold, positives, negatives, prevalence):
        scores = np.array([*positives, *negatives])
        positive = np.arange(len(scores)) < len(positives)
        sources = np.arange(len(scores)).astype(str)
        truth = Truth(sources, sources, ~positive, load_taxonomy())
        target = Target("", positive, scores, {0.01: threshold})
        return operating_points(target, truth, prevalence)[0]

    point = measure(0.99, [0.5, 0.99, 0.995, 1.0], np.linspace(0, 0.999, 1000), 0.01)
    assert point.recall.value == 0.5  # a score at the threshold is not over it
    assert point.false_positives == 9
    assert point.false_positive_rate.value == 0.009
    assert point.precision.value == pytest.approx(0.005 / (0.005 + 0.99 * 0.009))
    sure = measure(0.5, [1.0] * 10, [0.0] * 100, 0.001)
    assert (sure.false_positives, sure.precision.value) == (0, 1)
    without = measure(0.5, [], [0.0] * 100, 0.001)
    assert (without.recall, without.precision) == (None, None)
    assert isinstance(without.false_positive_rate, Estimate)


def drawn(rng, count):
    """Scores of negatives, of which one in fifty looks like the product."""
    alike = rng.random(count) < 0.02
    return sigmoid(np.where(alike, rng.normal(3, 1, count), rng.normal(0, 1, count)))


def test_the_smoothed_tail_holds_its_rate_better_than_the_highest_score():
    """At 0.1 %, over 200 draws of 400 negatives, on further negatives of the same kind."""
    rng = np.random.default_rng(0)
    further, draws = np.sort(drawn(rng, 200_000)), [drawn(rng, 400) for _ in range(200)]

    def error(thresholds):
        over = 1 - np.searchsorted(further, thresholds, side="right") / len(further)
        return float(np.abs(over / 0.001 - 1).mean())

    smoothed = error([sigmoid(expected_log_odds(logit(scores), 0.001)) for scores in draws])
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
        assert expected_log_odds(scores, rate) == threshold_at_fpr(scores, rate)
