"""Plans against worlds in which everything is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import beta, binom

from recognizer import load_policy
from recognizer._decide import decide
from recognizer.errors import UsageError
from recognizer.evaluation.metrics import share
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.model.evidence import Estimate
from recognizer.policy import (
    FALSE_POSITIVE_RATES,
    CandidateKind,
    Decision,
    Probability,
    Rate,
)
from recognizer.prediction import Prediction
from recognizer.review.plan import (
    BundleEvidence,
    Plan,
    ScoredPhoto,
    ScoredPhotos,
    Workload,
    make_plan,
    policy_of,
    policy_toml,
)
from recognizer.review.plan.audits import audit_size, plan_audits
from recognizer.review.plan.evidence import (
    ANY_PRODUCT,
    MIN_NEGATIVES,
    MIN_PHOTOS_BETWEEN,
    MIN_PHOTOS_NAMED,
    NO_PRODUCT,
    Level,
    Setting,
    level_of,
    levels,
)
from recognizer.review.plan.intervals import UNKNOWN, Clustering, exact_interval, weighted_mean
from recognizer.review.plan.scores import read_scores, write_scores
from recognizer.status import Status

RELEASED = Path(__file__).parents[2] / "export" / "wildlife-v4"
FAMILIES = ("ivory", "big_cat", "feather")
PREVALENCE = {"ivory": 0.0006, "big_cat": 0.0003, "feather": 0.0001}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(RELEASED)


SOURCES = {NO_PRODUCT: 40, "ivory": 10, "big_cat": 5, "feather": 1}


class World:
    """Sources whose photos are alike: log-odds with an effect of the source and one of the photo.

    Thresholds were set where sources differ less, so that more passes them than their rates say.
    """

    def __init__(self, spread: float) -> None:
        rng = np.random.default_rng(0)
        self.spread = spread
        self.sources = rng.normal(0, spread, (20_000, 3))
        self.shifts = rng.normal(8, 1.5 * spread, 20_000)
        tame = rng.normal(-6, 0.3 * spread, (200_000, 3)) + rng.logistic(size=(200_000, 3))

        def named(values: np.ndarray) -> dict[float, float]:
            return {r: float(expit(np.quantile(values, 1 - r))) for r in FALSE_POSITIVE_RATES}

        self.thresholds = {name: named(tame[:, i]) for i, name in enumerate(FAMILIES)}
        self.any_product = named(tame.max(axis=1))

    def draw(
        self,
        rng: np.random.Generator,
        sources: Mapping[str, int] = SOURCES,
        photos: int = 6,
    ) -> ScoredPhotos:
        """Return labelled photos of new sources, those without a product four times as large."""
        scores, shown, names = [], [], []
        for family, number in sources.items():
            for source in range(number):
                count = int(rng.geometric(1 / (photos if family else 4 * photos)))
                values = rng.normal(-6, self.spread, 3) + rng.logistic(size=(count, 3))
                if family:
                    values[:, FAMILIES.index(family)] += rng.normal(8, 1.5 * self.spread)
                scores.append(expit(values))
                shown += [family] * count
                names += [f"{family}/{source}"] * count
        return ScoredPhotos(
            origin="a simulation",
            thresholds=self.thresholds,
            any_product=self.any_product,
            scores=np.concatenate(scores),
            shown=np.array(shown),
            sources=np.array(names),
        )

    def truth(self, setting: Setting) -> tuple[float, dict[str, float]]:
        """Return the false-positive rate, and the recall of each product."""
        limits = logit([level_of(setting, family).threshold for family in FAMILIES])

        def leads(log_odds: np.ndarray) -> float:
            return float(1 - np.prod(expit(limits - log_odds), axis=1).mean())

        recall = {}
        for i, family in enumerate(FAMILIES):
            shifted = self.sources - 6
            shifted[:, i] += self.shifts
            recall[family] = leads(shifted)
        return leads(self.sources - 6), recall


def workload(**changes: Any) -> Workload:
    usual = Workload(
        photos_per_day=10_000, prevalence=PREVALENCE, reviewers=1, cases_per_reviewer=400
    )
    return replace(usual, **changes)


@cache
def world_of(spread: float) -> World:
    return World(spread)


@pytest.fixture(scope="module")
def world() -> World:
    return world_of(1.0)


@pytest.fixture(scope="module")
def evidence(world: World) -> ScoredPhotos:
    return world.draw(np.random.default_rng(5))


def holds(estimate: Estimate | None, value: float) -> bool:
    return estimate is not None and estimate.low <= value <= estimate.high


# --- against simulation ---------------------------------------------------------------------------


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


@given(st.floats(1e-5, 0.05), st.floats(0.05, 0.8))
def test_an_audit_supports_what_is_true_and_no_more(allowed: float, part: float) -> None:
    size = audit_size(part * allowed, allowed)
    if size is None:
        assert part > 0.7
        return
    # What is expected comes true: the claim is supported four times in five.
    assert binom.cdf(size.misses, size.photos, part * allowed) >= 0.79
    # The claim is false: it is supported once in twenty times at most.
    assert binom.cdf(size.misses, size.photos, allowed) <= 0.0501
    # The exact bound says the same of what was seen.
    assert beta.ppf(0.95, size.misses + 1, size.photos - size.misses) <= allowed * 1.001


def test_audits_of_a_claim_that_is_too_high_are_not_planned() -> None:
    audits = {a.recall: a for a in plan_audits(0.6, 0.01, 0.0003)}
    assert audits[0.25].size is not None
    assert audits[0.75].size is None
    assert audits[0.9].without_a_miss > audits[0.25].without_a_miss
    # At half the recall the missed share is as large as the found one.
    assert audits[0.5].allowed == pytest.approx(0.00018 / 0.99, rel=0.01)
    assert plan_audits(0.0, 0.01, 0.0003) == ()


# --- intervals ------------------------------------------------------------------------------------


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


def test_one_source_says_nothing_of_how_alike_photos_are(bundle: Bundle, world: World) -> None:
    evidence = world.draw(np.random.default_rng(0), {NO_PRODUCT: 1, "ivory": 1}, photos=200)
    plan = make_plan(bundle, evidence, workload(prevalence={"ivory": 0.001}))
    assert any("come from one source" in note for note in plan.notes)


def test_a_weighted_mean_of_one_part_is_that_part() -> None:
    part = share(3, 10)
    mean = weighted_mean({"a": 1.0}, {"a": part})
    assert (mean.value, mean.low, mean.high) == pytest.approx((part.value, part.low, part.high))
    half = weighted_mean({"a": 0.5, "b": 0.5}, {"a": part, "b": UNKNOWN})
    assert half.value == pytest.approx(0.15)
    assert half.high > 0.5


# --- what is chosen -------------------------------------------------------------------------------


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


def test_levels_between_lie_between() -> None:
    found = levels({0.05: 0.3, 0.01: 0.6, 0.001: 0.9})
    rates = [level.rate for level in found]
    assert rates == sorted(rates)
    assert [level.threshold for level in found] == sorted(
        (level.threshold for level in found), reverse=True
    )
    assert [(x.rate, x.threshold) for x in found if x.is_named] == [
        (0.001, 0.9), (0.01, 0.6), (0.05, 0.3),
    ]  # fmt: skip


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


# --- the policy -----------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**16), st.sampled_from([100, 1000, 10_000, 60_000]))
def test_the_policy_decides_as_planned(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cases: int
) -> None:
    bundle, rng = load_bundle(RELEASED), np.random.default_rng(seed)
    names = [label.name for label in bundle.labels]
    predictions, photos = [], []
    for i in range(400):
        values = expit(rng.normal(-4, 2.5, len(names)))
        shown = ("ivory_worked", "big_cat_skin", "pangolin_scales", "feather")[i % 4]
        if i % 3 == 0:
            values[names.index(shown)] = rng.random()
        families = dict(
            zip([f.name for f in bundle.families], bundle.family_scores(values), strict=True)
        )
        predictions.append(
            Prediction(
                status=Status.OK,
                scores=dict(zip(names, values.tolist(), strict=True)),
                families={name: float(score) for name, score in families.items()},
            )
        )
        label = shown if i % 3 == 0 else "listing_other"
        photos.append(
            ScoredPhoto(
                sha256="", label=label, source=f"s{i % 20}", families=predictions[-1].families
            )
        )
    evidence = ScoredPhotos.of(bundle, photos, "a simulation")
    team = workload(photos_per_day=100_000, prevalence=0.01, cases_per_reviewer=cases)
    plan = make_plan(bundle, evidence, team)
    path = tmp_path_factory.mktemp("policy") / "planned.toml"
    written = policy_of(plan, bundle, "planned")
    path.write_text(policy_toml(plan, written), encoding="utf-8")
    policy = load_policy(path, bundle.taxonomy)
    assert policy == written
    for prediction in predictions:
        verdict = decide(prediction, bundle.candidates, bundle.any_product_thresholds, policy)
        expected = any(
            score > level_of(plan.step.levels, family).threshold
            for family, score in prediction.families.items()
        )
        assert (verdict.decision is not Decision.CLEAR) == expected
    # Not every lead has priority: that would be no order at all.
    assert all(
        written.rules[CandidateKind.FAMILY, rule].review
        != written.rules[CandidateKind.FAMILY, rule].priority
        for rule, level in plan.step.levels.items()
        if rule != ANY_PRODUCT and level != plan.steps[0].levels[rule]
    )


def test_a_named_threshold_is_a_rate_where_that_means_the_same(bundle: Bundle) -> None:
    plan = make_plan(bundle, BundleEvidence(bundle=bundle), workload(prevalence=0.001))

    def rule(family: str, rate: float) -> object:
        thresholds = next(
            c.thresholds for c in bundle.candidates
            if (c.kind, c.name) == (CandidateKind.FAMILY, family)
        )  # fmt: skip
        level = Level(threshold=thresholds[rate], rate=rate, is_named=True)
        step = replace(plan.step, levels={family: level, **plan.step.levels})
        planned = replace(plan, steps=(step,), chosen=0)
        return policy_of(planned, bundle, "p").rules[CandidateKind.FAMILY, family].review

    assert rule("antelope_horn", 0.01) == Rate(0.01)
    # A rate would give raw ivory, of which there is little, a threshold of its own.
    assert rule("ivory", 0.01) == Probability(0.156958)


# --- what a bundle says of itself -----------------------------------------------------------------


def test_a_bundle_alone_gives_a_first_plan(bundle: Bundle) -> None:
    plan = make_plan(bundle, BundleEvidence(bundle=bundle), workload(prevalence=0.0003))
    assert len(plan.steps) == len(FALSE_POSITIVE_RATES)
    assert all(step.levels[ANY_PRODUCT].is_named for step in plan.steps)
    strict, default, loose = plan.steps
    # Measured on new sources: 1.55 % of the photos without a product, not 1 %.
    assert default.false_positive_rate.value == pytest.approx(0.0155, abs=1e-4)
    assert strict.recall.value < default.recall.value < loose.recall.value
    assert any("1.55%" in note for note in plan.notes)


def test_a_bundle_without_figures_says_that_rates_are_not_measured(tiny_bundle: Path) -> None:
    tiny = load_bundle(tiny_bundle)
    evidence = BundleEvidence(bundle=tiny)
    with pytest.raises(UsageError, match="give a prevalence for each"):
        make_plan(tiny, evidence, workload(prevalence=0.001))
    plan = make_plan(tiny, evidence, workload(prevalence={"ivory": 0.001}))
    assert plan.step.false_positive_rate.high == 1
    assert plan.step.recall == UNKNOWN
    assert any("not measured" in note for note in plan.notes)


# --- scores in files ------------------------------------------------------------------------------


def _photo(bundle: Bundle, label: str, score: float) -> ScoredPhoto:
    families = {family.name: score for family in bundle.families}
    return ScoredPhoto(sha256="ab", label=label, source="s, t", families=families)


def test_scores_come_back_from_their_file(bundle: Bundle, tmp_path: Path) -> None:
    photos = [_photo(bundle, "ivory_raw", 0.25), _photo(bundle, "bone", 1e-7)]
    write_scores(tmp_path / "scores.csv", bundle, photos)
    assert read_scores(tmp_path / "scores.csv", bundle) == photos


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("0.25", "nan", "scores.csv:2: scores are probabilities"),
        ("0.25", "x", "scores.csv:2: could not convert"),
        ("ivory_raw", "ivory_new", "unknown label"),
        ("source", "place", "no column source"),
    ],
)
def test_a_broken_table_is_refused(
    bundle: Bundle, tmp_path: Path, before: str, after: str, words: str
) -> None:
    path = tmp_path / "scores.csv"
    write_scores(path, bundle, [_photo(bundle, "ivory_raw", 0.25)])
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(UsageError, match=words):
        read_scores(path, bundle)


def test_scores_of_another_bundle_are_refused(
    bundle: Bundle, tiny_bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "scores.csv"
    write_scores(path, bundle, [_photo(bundle, "ivory_raw", 0.25)])
    with pytest.raises(UsageError, match="not of tiny-v1"):
        read_scores(path, load_bundle(tiny_bundle))


def test_a_product_that_the_bundle_does_not_know_is_found_by_mistake_only(bundle: Bundle) -> None:
    photos = [_photo(bundle, "listing_other", 0.01)] * 20
    photos += [_photo(bundle, "hornbill_casque", 0.999)] * 3 + [_photo(bundle, "ivory_raw", 0.9)]
    plan = make_plan(bundle, ScoredPhotos.of(bundle, photos, "these"), workload(prevalence=0.001))
    casque = next(p for p in plan.products if p.name == "hornbill_casque")
    assert (casque.rule, casque.level, casque.recall) == (None, None, None)
    assert casque.found == pytest.approx(10 * 3 / 4)
    assert any("does not know hornbill_casque" in note for note in plan.notes)


def test_products_alone_do_not_say_how_long_the_queue_is(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="none without a product"):
        ScoredPhotos.of(bundle, [_photo(bundle, "ivory_raw", 0.25)], "these")
