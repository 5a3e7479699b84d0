"""Plans against worlds in which everything is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from recognizer.errors import UsageError
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.model.description import Estimate
from recognizer.review.plan import Plan, ScoredPhotos, make_plan
from recognizer.review.plan.evidence import ANY_PRODUCT, NO_PRODUCT, level_of
from recognizer.review.plan.labelled import MIN_NEGATIVES, MIN_PHOTOS_BETWEEN, MIN_PHOTOS_NAMED
from tests.review.plan.worlds import (
    FAMILIES,
    PREVALENCE,
    RELEASED,
    World,
    photo,
    workload,
    world_of,
)


def holds(estimate: Estimate | None, value: float) -> bool:
    return estimate is not None and estimate.low <= value <= estimate.high


@pytest.mark.parametrize("spread", [0.01, 1.0], ids=["independent photos", "photos alike"])
@pytest.mark.parametrize("by_product", [True, False])
def test_the_intervals_hold_the_truth(bundle: Bundle, spread: float, by_product: bool) -> None:
    # The thresholds are chosen on the very photos that the intervals rest on.
    world, rng, rounds = world_of(spread), np.random.default_rng(1), 40
    held = dict.fromkeys(("false positives", "recall", "queue", "precision"), 0)
    total = sum(PREVALENCE.values())
    for i in range(rounds):
        team = workload(cases_per_reviewer=(100, 400, 1500)[i % 3])
        step = make_plan(bundle, world.draw(rng), team, by_product=by_product).step
        rate, by_family = world.truth(step.levels)
        recall = sum(PREVALENCE[name] * by_family[name] for name in FAMILIES) / total
        found, alarms = total * recall, (1 - total) * rate
        held["false positives"] += holds(step.false_positive_rate, rate)
        held["recall"] += holds(step.recall, recall)
        held["queue"] += holds(step.queue, 10_000 * (found + alarms))
        held["precision"] += holds(step.precision, found / (found + alarms))
    enough = binom.ppf(0.01, rounds, 0.95)  # fewer would refute 95 %
    assert min(held.values()) >= enough, held


def test_a_simulated_day_is_as_planned(bundle: Bundle, evidence: ScoredPhotos) -> None:
    # A backlog of which the labelled photos are a fair sample, worked through photo by photo.
    plan = make_plan(bundle, evidence, workload())
    rng, days = np.random.default_rng(2), 60
    total = sum(PREVALENCE.values())
    shares = {NO_PRODUCT: 1 - total, **PREVALENCE}
    limits = np.array([level_of(plan.step.levels, name).threshold for name in FAMILIES])
    queue = dict.fromkeys(FAMILIES, 0)
    found = 0
    for shown, p in shares.items():
        rows = np.flatnonzero(evidence.shown == shown)
        scores = evidence.scores[rng.choice(rows, rng.binomial(days * 10_000, p))]
        over = scores > limits
        found += bool(shown) * int(over.any(axis=1).sum())
        likeliest = np.where(over, scores, -1).argmax(axis=1)[over.any(axis=1)]
        for i, name in enumerate(FAMILIES):
            queue[name] += int((likeliest == i).sum())
    leads = sum(queue.values())
    assert leads / days == pytest.approx(plan.step.queue.value, abs=4 * leads**0.5 / days)
    assert found / days == pytest.approx(
        sum(product.found for product in plan.products), abs=4 * found**0.5 / days
    )
    assert plan.step.precision is not None
    assert found / leads == pytest.approx(plan.step.precision.value, abs=4 * found**0.5 / leads)
    for product in plan.products:
        own = queue[product.name]
        assert own / days == pytest.approx(product.queue, abs=4 * (own + 1) ** 0.5 / days)
        assert own / leads == pytest.approx(product.share_of_time, abs=4 * (own + 1) ** 0.5 / leads)


def test_one_source_says_nothing_of_how_alike_photos_are(bundle: Bundle, world: World) -> None:
    evidence = world.draw(np.random.default_rng(0), {NO_PRODUCT: 1, "ivory": 1}, photos=200)
    plan = make_plan(bundle, evidence, workload(prevalence={"ivory": 0.001}))
    assert any("come from one source" in note for note in plan.notes)


@settings(max_examples=15, deadline=None)
@example(seed=3334, cases=1, by_product=True)  # two steps with the same gain for their cost
@given(st.integers(0, 2**16), st.integers(1, 4000), st.booleans())
def test_a_plan_fits_the_team_and_a_larger_team_misses_no_more(
    seed: int, cases: int, by_product: bool
) -> None:
    bundle, world = load_bundle(RELEASED), world_of(1.0)
    evidence = world.draw(np.random.default_rng(seed))
    plan = make_plan(bundle, evidence, workload(cases_per_reviewer=cases), by_product=by_product)
    queues = [step.queue.value for step in plan.steps]
    recalls = [step.recall.value for step in plan.steps]
    assert queues == sorted(queues)
    assert recalls == sorted(recalls)
    if plan.is_overloaded:
        assert plan.chosen == 0
    else:
        assert plan.step.queue.value <= cases
        assert plan.chosen == len(queues) - 1 or queues[plan.chosen + 1] > cases
    for step in plan.steps:
        for estimate in (step.queue, step.recall, step.false_positive_rate):
            assert 0 <= estimate.low <= estimate.value <= estimate.high
    assert sum(product.queue for product in plan.products) == pytest.approx(plan.step.queue.value)
    _check_support(plan, evidence)


def _check_support(plan: Plan, evidence: ScoredPhotos) -> None:
    """Thresholds that the bundle does not name rest on photos."""
    negative = evidence.shown == NO_PRODUCT
    for rule, level in plan.step.levels.items():
        if level.is_named or level.threshold in evidence.any_product.values():
            continue
        photos, _ = evidence.counts.get(rule, (0, 0))
        column = evidence.scores.max(axis=1)
        assert rule == ANY_PRODUCT or photos >= MIN_PHOTOS_NAMED
        if photos >= MIN_PHOTOS_BETWEEN and level != plan.steps[0].levels[rule]:
            column = evidence.scores[:, FAMILIES.index(rule)]
        assert int((column[negative] > level.threshold).sum()) >= MIN_NEGATIVES


def test_few_photos_get_no_rule_of_their_own(bundle: Bundle, world: World) -> None:
    drawn = world.draw(np.random.default_rng(3), photos=8)
    few = np.flatnonzero(drawn.shown == "big_cat")[MIN_PHOTOS_NAMED - 1 :]
    kept = np.setdiff1d(np.arange(len(drawn.shown)), few)
    evidence = replace(
        drawn, scores=drawn.scores[kept], shown=drawn.shown[kept], sources=drawn.sources[kept]
    )
    plan = make_plan(bundle, evidence, workload())
    rules = {product.name: product.rule for product in plan.products}
    assert rules["ivory"] == "ivory"
    assert rules["big_cat"] == ANY_PRODUCT
    assert any("Few photos" in note and "big_cat 4" in note for note in plan.notes)


def test_an_absent_product_needs_no_rule(bundle: Bundle, evidence: ScoredPhotos) -> None:
    plan = make_plan(bundle, evidence, workload(prevalence={"big_cat": 0.001}))
    assert set(plan.step.levels) == {"big_cat", ANY_PRODUCT}


def test_where_even_the_strictest_thresholds_are_too_loose_it_says_so(
    bundle: Bundle, evidence: ScoredPhotos
) -> None:
    plan = make_plan(bundle, evidence, workload(photos_per_day=10_000_000))
    assert plan.is_overloaded
    assert f"it takes {plan.step.reviewers:,} reviewers" in plan.notes[0]


@pytest.mark.parametrize(
    ("prevalence", "words"),
    [
        ({"ivry": 0.001}, "did you mean ivory"),
        ({"ivory": 0.0}, "between 0 and 1"),
        ({"ivory": 0.6, "feather": 0.6}, "between 0 and 1"),
    ],
)
def test_mistakes_in_the_prevalence_are_named(
    bundle: Bundle, evidence: ScoredPhotos, prevalence: dict[str, float], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        make_plan(bundle, evidence, workload(prevalence=prevalence))


def test_without_a_mix_that_of_the_photos_is_taken_and_said(
    bundle: Bundle, evidence: ScoredPhotos
) -> None:
    plan = make_plan(bundle, evidence, workload(prevalence=0.001))
    photos = {name: count for name, (count, _) in evidence.counts.items()}
    for product in plan.products:
        expected = 0.001 * photos[product.name] / sum(photos.values())
        assert product.prevalence == pytest.approx(expected)
    assert any("mix of products" in note for note in plan.notes)


def test_a_product_that_the_bundle_does_not_know_is_found_by_mistake_only(bundle: Bundle) -> None:
    photos = [photo(bundle, "listing_other", 0.01)] * 20
    photos += [photo(bundle, "hornbill_casque", 0.999)] * 3 + [photo(bundle, "ivory_raw", 0.9)]
    plan = make_plan(bundle, ScoredPhotos.of(bundle, photos, "these"), workload(prevalence=0.001))
    casque = next(p for p in plan.products if p.name == "hornbill_casque")
    assert (casque.rule, casque.level, casque.recall) == (None, None, None)
    assert casque.found == pytest.approx(10 * 3 / 4)
    assert any("does not know hornbill_casque" in note for note in plan.notes)
