"""Thresholds from labelled photos and from outcomes, against worlds in which all is known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import binom

from recognizer.cli import ExitCode
from recognizer.dataset.manifest import Photo
from recognizer.decision import decide
from recognizer.errors import UsageError
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.model.description import Estimate
from recognizer.policy import CandidateKind, Decision, Policy, Probability, Rate
from recognizer.prediction import Prediction
from recognizer.review.outcomes import Judgement
from recognizer.review.thresholds import (
    ANY_PRODUCT,
    MIN_OVER,
    MIN_PHOTOS,
    NO_PRODUCT,
    Choice,
    LabelledPhotos,
    ReviewedScan,
    choose,
    policy_of,
)
from recognizer.rows.row import Row
from recognizer.status import Status
from tests.conftest import invoke
from tests.labelled import write_manifest
from tests.review.outcomes import outcome
from tests.review.worlds import DAY, FAMILIES, PREVALENCE, RELEASED, World, world_of
from tests.rows.rows import bare_row

C, R = Judgement.CONFIRMED, Judgement.REJECTED


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(RELEASED)


@pytest.fixture(scope="module")
def world() -> World:
    return world_of(1.0)


@pytest.fixture(scope="module")
def photos(world: World) -> LabelledPhotos:
    return world.draw(np.random.default_rng(5))


# --- labelled photos ------------------------------------------------------------------------------


def holds(estimate: Estimate | None, value: float) -> bool:
    return estimate is not None and estimate.low <= value <= estimate.high


@pytest.mark.parametrize("spread", [0.01, 1.0], ids=["independent photos", "photos alike"])
@pytest.mark.parametrize("by_product", [True, False])
def test_the_intervals_hold_the_truth(spread: float, by_product: bool) -> None:
    # The thresholds are chosen on the very photos that the intervals rest on.
    world, rng, rounds = world_of(spread), np.random.default_rng(1), 40
    held = dict.fromkeys(("recall", "leads", "precision"), 0)
    total = sum(PREVALENCE.values())
    for i in range(rounds):
        made = choose(world.draw(rng), capacity=(100, 400, 1500)[i % 3], by_product=by_product)
        step = made.step
        rate, by_family = world.truth(step.thresholds)
        recall = sum(PREVALENCE[name] * by_family[name] for name in FAMILIES) / total
        found, alarms = total * recall, (1 - total) * rate
        held["recall"] += holds(step.recall, recall)
        held["leads"] += holds(step.leads, DAY * (found + alarms))
        held["precision"] += holds(step.precision, found / (found + alarms))
    enough = binom.ppf(0.01, rounds, 0.95)  # fewer would refute 95 %
    assert min(held.values()) >= enough, held


def test_a_simulated_day_is_as_expected(photos: LabelledPhotos) -> None:
    """A backlog of which the labelled photos are a fair sample, worked through photo by photo."""
    choice = choose(photos, capacity=400)
    rng, days = np.random.default_rng(2), 60
    shares = {NO_PRODUCT: 1 - sum(PREVALENCE.values()), **PREVALENCE}
    limits = [choice.step.thresholds.get(n, choice.step.thresholds[ANY_PRODUCT]) for n in FAMILIES]
    queue, found = dict.fromkeys(FAMILIES, 0), 0
    for shown, p in shares.items():
        rows = np.flatnonzero(photos.shown == shown)
        scores = photos.scores[rng.choice(rows, rng.binomial(days * DAY, p))]
        over = scores > np.array(limits)
        found += bool(shown) * int(over.any(axis=1).sum())
        likeliest = np.where(over, scores, -1).argmax(axis=1)[over.any(axis=1)]
        for i, name in enumerate(FAMILIES):
            queue[name] += int((likeliest == i).sum())
    leads = sum(queue.values())
    assert leads / days == pytest.approx(choice.step.leads.value, abs=4 * leads**0.5 / days)
    expected = sum(product.found for product in choice.products)
    assert found / days == pytest.approx(expected, abs=4 * found**0.5 / days)
    for product in choice.products:
        own = queue[product.name]
        assert own / days == pytest.approx(product.leads, abs=4 * (own + 1) ** 0.5 / days)


@settings(max_examples=15, deadline=None)
@example(seed=3334, cases=1, by_product=True)
@given(st.integers(0, 2**16), st.integers(1, 4000), st.booleans())
def test_a_choice_fits_the_team_and_a_larger_team_misses_no_more(
    seed: int, cases: int, by_product: bool
) -> None:
    photos = world_of(1.0).draw(np.random.default_rng(seed))
    choice = choose(photos, capacity=cases, by_product=by_product)
    leads = [step.leads.value for step in choice.steps]
    recalls = [step.recall.value for step in choice.steps if step.recall]
    assert leads == sorted(leads)
    assert recalls == sorted(recalls)
    assert len(recalls) == len(leads)
    if choice.step.leads.value > cases:
        assert choice.chosen == 0
        assert "of the queue is reached" in choice.notes[0]
    else:
        assert [one for one in leads if one <= cases] == leads[: (choice.chosen or 0) + 1]
    for step in choice.steps:
        for estimate in (step.leads, step.recall):
            assert 0 <= estimate.low <= estimate.value <= estimate.high
    assert sum(p.leads for p in choice.products) == pytest.approx(choice.step.leads.value)
    negatives = photos.scores[~photos.positive]
    for rule, threshold in choice.step.thresholds.items():
        columns = [i for i, name in enumerate(FAMILIES) if rule in {name, ANY_PRODUCT}]
        is_start = threshold == choice.steps[0].thresholds[rule]
        if threshold not in photos.named.values() and not is_start:
            assert (negatives[:, columns].max(axis=1) > threshold).sum() >= MIN_OVER


def test_few_photos_get_no_rule_of_their_own(world: World) -> None:
    drawn = world.draw(np.random.default_rng(3), photos=8)
    assert set(choose(drawn, capacity=400).steps[0].thresholds) == {"ivory", "big_cat", ANY_PRODUCT}
    few = np.flatnonzero(drawn.shown == "big_cat")[MIN_PHOTOS - 1 :]
    kept = np.setdiff1d(np.arange(len(drawn.shown)), few)
    arrays = {
        name: getattr(drawn, name)[kept]
        for name in ("scores", "shown", "sources", "daily", "known")
    }
    choice = choose(replace(drawn, **arrays), capacity=400)
    assert set(choice.steps[0].thresholds) == {"ivory", ANY_PRODUCT}


def test_one_source_says_nothing_of_how_alike_photos_are(world: World) -> None:
    one = {NO_PRODUCT: 1, "ivory": 1}
    drawn = world.draw(np.random.default_rng(0), one, 200, {"ivory": 0.001})
    notes = choose(drawn, capacity=400).notes
    assert any("come from one source" in note for note in notes)
    assert any("No labelled photos: big_cat, feather" in note for note in notes)


def labelled(
    bundle: Bundle,
    photos: Iterable[tuple[str, float]],
    prevalence: float | Mapping[str, float] = 0.001,
) -> LabelledPhotos:
    labels, scores = zip(*photos, strict=True)
    every = [dict.fromkeys(bundle.label_names, 0.0) | {"ivory_raw": score} for score in scores]
    sources = [str(i % 7) for i in range(len(labels))]
    return LabelledPhotos.of(
        bundle, every, labels, sources, images_per_day=DAY, prevalence=prevalence
    )


SOME = [("listing_other", 0.01)] * 20 + [("ivory_raw", 0.9)] * 3 + [("feather", 0.1)]


@pytest.mark.parametrize(
    ("prevalence", "words"),
    [
        ({"ivry": 0.001}, "did you mean ivory"),
        ({"ivory": 0.0}, "between 0 and 1"),
        ({"ivory": 0.6, "feather": 0.6}, "between 0 and 1"),
    ],
)
def test_mistakes_in_the_prevalence_are_named(
    bundle: Bundle, prevalence: dict[str, float], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        labelled(bundle, SOME, prevalence)


def test_products_alone_do_not_say_how_long_the_queue_is(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="none without a product"):
        labelled(bundle, [("ivory_raw", 0.25)])


def test_without_a_mix_that_of_the_photos_is_taken(bundle: Bundle) -> None:
    prevalence = labelled(bundle, SOME).prevalence
    assert prevalence["ivory"] == pytest.approx(0.00075)
    assert prevalence["feather"] == pytest.approx(0.00025)


def test_a_product_that_the_bundle_does_not_know_is_found_by_mistake_only(bundle: Bundle) -> None:
    photos = [*SOME[:20], *[("hornbill_casque", 0.999)] * 3, ("ivory_raw", 0.9)]
    choice = choose(labelled(bundle, photos), capacity=400)
    casque = next(p for p in choice.products if p.name == "hornbill_casque")
    assert casque.threshold is None
    assert casque.found == pytest.approx(DAY * 0.001 * 3 / 4)
    assert any("does not know hornbill_casque" in note for note in choice.notes)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**16), st.sampled_from([100, 1000, 10_000, 60_000]))
def test_the_policy_decides_as_chosen(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cases: int
) -> None:
    bundle, rng = load_bundle(RELEASED), np.random.default_rng(seed)
    base = Policy(ignore=frozenset({"ivory_raw", "feather"}), always_review=Policy().always_review)
    predictions, labels = [], []
    for i in range(400):
        values = expit(rng.normal(-4, 2.5, len(bundle.label_names)))
        shown = ("ivory_worked", "big_cat_skin", "pangolin_scales", "feather")[i % 4]
        if i % 3 == 0:
            values[bundle.label_names.index(shown)] = rng.random()
        families = bundle.family_scores(values)
        predictions.append(
            Prediction(
                status=Status.OK,
                scores=dict(zip(bundle.label_names, values.tolist(), strict=True)),
                families={f.name: float(s) for f, s in zip(bundle.families, families, strict=True)},
            )
        )
        labels.append(shown if i % 3 == 0 else "listing_other")
    photos = LabelledPhotos.of(
        bundle,
        [prediction.scores for prediction in predictions],
        labels,
        [f"s{i % 20}" for i in range(400)],
        images_per_day=100_000,
        prevalence=0.01,
        ignore=base.ignore,
    )
    choice = choose(photos, capacity=cases)
    policy = policy_of(choice, bundle, base, "next")
    lead = photos.over(choice.step.thresholds).any(axis=1)
    for prediction, expected in zip(predictions, lead, strict=True):
        verdict = decide(prediction, bundle, policy)
        assert (verdict.decision is not Decision.CLEAR) == expected
    assert policy.ignore == base.ignore
    # Not every lead has priority: that would be no order at all.
    assert all(
        rule.review != rule.priority
        for (_, name), rule in policy.rules.items()
        if choice.step.thresholds[name] != choice.steps[0].thresholds[name]
    )


def test_a_named_any_product_threshold_is_a_rate(bundle: Bundle) -> None:
    many = [("listing_other", i / 300) for i in range(300)]
    choice = choose(labelled(bundle, [*SOME, *many]), capacity=1e9)
    loosest = policy_of(choice, bundle, Policy(), "next")
    assert isinstance(loosest.default.review, Probability)
    named = bundle.any_product_thresholds[0.01]
    places = [i for i, step in enumerate(choice.steps) if named in step.thresholds.values()]
    policy = policy_of(replace(choice, chosen=places[0]), bundle, Policy(), "next")
    assert (policy.default.review, policy.default.priority) == (Rate(0.01), Rate(0.001))


# --- reviewed scans -------------------------------------------------------------------------------


Image = tuple[float, Judgement | None, float | None]


def reviewed(bundle: Bundle, images: Iterable[Image], label: str | None = None) -> ReviewedScan:
    """A scan of which the policy reviewed what is over 0.5 as ivory."""
    rows: list[Row] = []
    outcomes = {}
    model = bundle.reference
    for number, (score, judgement, audit) in enumerate(images):
        row = bare_row(f"{number}.jpg", score, "review" if score > 0.5 else "clear", audit=audit)
        scores = dict.fromkeys(bundle.label_names, 0.0) | {"ivory_worked": score}
        rows.append(replace(row, scores=scores, model=model))
        if judgement is not None:
            outcomes[row.sha256 or ""] = outcome(judgement, sha256=row.sha256, label=label)
    return ReviewedScan.of(bundle, rows, outcomes)


GOOD: list[Image] = [(0.8 + i / 1000, C, None) for i in range(20)]
BAD: list[Image] = [(0.6 + i / 1000, R, None) for i in range(20)]
AUDITED: list[Image] = [(0.3 + i / 1000, C, 0.5) for i in range(40)]
UNSEEN: list[Image] = [(0.3 + i / 1000, None, None) for i in range(40)]
CLEARED: list[Image] = [(0.01, R, 0.1)] * 50


def precise(bundle: Bundle, images: Iterable[Image], precision: float = 0.8) -> Choice:
    return choose(reviewed(bundle, images), precision=precision)


def test_a_threshold_is_raised_over_what_was_rejected(bundle: Bundle) -> None:
    choice = precise(bundle, [*GOOD, *BAD])
    assert 0.619 <= min(choice.step.thresholds.values()) < 0.8
    assert choice.step.leads.value == 20
    assert 0.8 <= choice.step.precision.low < choice.step.precision.value == 1
    assert choice.step.recall is None
    assert any("no recall and no lower threshold" in note for note in choice.notes)
    policy = policy_of(choice, bundle, Policy(ignore=frozenset({"rhino_horn"})), "next")
    rule = policy.rules.get((CandidateKind.FAMILY, "ivory"), policy.default)
    assert rule.review == Probability(min(choice.step.thresholds.values()))
    assert policy.ignore == {"rhino_horn"}


def test_it_is_lowered_only_as_far_as_the_audit_sample_says(bundle: Bundle) -> None:
    for unknown in ([], UNSEEN):
        thresholds = precise(bundle, [*GOOD, *unknown]).steps[-1].thresholds
        assert min(thresholds.values()) >= 0.4  # that of the leads
    choice = precise(bundle, [*GOOD, *AUDITED, *UNSEEN, *CLEARED])
    assert min(choice.step.thresholds.values()) < 0.3
    assert choice.step.leads.value == 100  # all scores are known
    assert 0.8 <= choice.step.precision.low < choice.step.precision.value == 1
    strict = next(step for step in choice.steps if step.leads.value == 20)
    assert strict.recall.value == pytest.approx(20 / (20 + 40 / 0.5))
    assert strict.recall.low < 0.2 < strict.recall.high


def test_a_miss_that_nobody_could_see_is_in_the_interval_of_the_recall(bundle: Bundle) -> None:
    choice = precise(bundle, [*GOOD, *CLEARED])
    assert choice.step.recall.value == 1
    assert choice.step.recall.low == pytest.approx(20 / (20 + 3.689 * 10), rel=1e-3)


@pytest.mark.parametrize(
    "images",
    [
        GOOD[:4],
        [*GOOD, *[(0.999, None, None)] * 20],
        [(0.9, None, None)],
        [(0.9, R, None), *GOOD[:9], *BAD],
    ],
)
def test_nothing_is_chosen_that_the_outcomes_do_not_show(
    images: list[Image], bundle: Bundle
) -> None:
    choice = precise(bundle, images)
    assert choice.step is None
    assert "review more" in choice.notes[0]
    kept = Policy(name="mine", ignore=frozenset({"coral"}))
    assert policy_of(choice, bundle, kept, "next") == replace(kept, name="next")


def test_open_leads_at_the_bottom_do_not_hide_what_is_over_them(bundle: Bundle) -> None:
    choice = precise(bundle, [*GOOD, *BAD, *[(0.55, None, None)] * 20])
    assert choice.step.leads.value == 20
    assert min(choice.steps[-1].thresholds.values()) >= 0.55


def test_what_was_confirmed_as_another_product_is_that_product(bundle: Bundle) -> None:
    scan = reviewed(bundle, GOOD, label="coral")
    products = {one.name: one for one in choose(scan, capacity=100).products}
    assert (products["coral"].photos, products["coral"].found) == (20, 20)
    assert (products["ivory"].photos, products["ivory"].leads) == (0, 20)


def test_rows_of_another_model_are_no_ground(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="name the --bundle"):
        ReviewedScan.of(bundle, [bare_row("a", 0.9, "review")], {})
    with pytest.raises(UsageError, match="a share over 0"):
        precise(bundle, GOOD, 50)


# --- the command ----------------------------------------------------------------------------------

TEAM = ("--photos-per-day", 10_000, "--reviewers", 2, "--cases-per-reviewer", 300)


@pytest.fixture
def data(labelled_photos: list[Photo], tmp_path: Path) -> Path:
    """A manifest of red, green and blue photos of four sources each, all of the test split."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [
        {
            "sha256": photo.sha256,
            "file": str(photo.path),
            "label": photo.label,
            "source": f"{photo.label}/{i % 4}",
            "split": "test",
        }
        for i, photo in enumerate(labelled_photos)
    ]
    write_manifest(folder, rows)
    return folder


def thresholds(*arguments: object) -> Any:
    return invoke("thresholds", *arguments)


def test_labelled_photos_give_a_table_a_plot_and_a_policy(
    tiny_bundle: Path, data: Path, tmp_path: Path
) -> None:
    policy, plot = tmp_path / "next.toml", tmp_path / "next.svg"
    of_data = ("-b", tiny_bundle, *TEAM, "-d", data)
    result = thresholds(*of_data, "-o", policy, "--plot", plot, "--policy", "strict")
    assert result.exit_code == ExitCode.DONE, result.output
    assert "36 labelled photos (test)" in result.stdout
    assert Policy.load(policy).name == "next"
    assert Policy.load(policy).keywords == Policy.load("strict").keywords
    assert plot.read_text().startswith("<?xml")
    result = thresholds(*of_data, "--json", "--one-threshold", "--prevalence", "ivory=0.001")
    choice = json.loads(result.stdout)
    assert choice["steps"][choice["chosen"]]["leads"]["value"] <= 600
    assert choice["products"][0]["name"] == "ivory"
    assert choice["products"][0]["recall"]["value"] == 1
    assert choice["steps"][0]["thresholds"].keys() == {"any product"}
    # It may be chosen again in its place.
    assert thresholds(*of_data, "-o", policy).exit_code == ExitCode.DONE


def test_own_photos_are_no_test_split(tiny_bundle: Path, labelled_photos: list[Photo]) -> None:
    folder = labelled_photos[0].path.parents[1]
    result = thresholds("-b", tiny_bundle, *TEAM, "-d", folder)
    assert result.exit_code == ExitCode.USAGE
    assert "--split all" in result.stderr
    result = thresholds("-b", tiny_bundle, *TEAM, "-d", folder, "--split", "all")
    assert result.exit_code == ExitCode.DONE, result.output
    assert "come from one source" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--prevalence", "much"], "could not convert"),
        (["--prevalence", "2"], "from 0 to 1"),
        (["--prevalence", "nan"], "from 0 to 1"),
        (["--prevalence", "0.1", "--prevalence", "ivory=0.1"], "one SHARE, or a NAME=SHARE"),
        (["--prevalence", "unicorn=0.1"], "no such family"),
        (["--split", "train"], "test, validation, all"),
        (["--plot", "plan.gif"], "must end in .png or .svg"),
        (["--output", "nowhere/p.toml"], "make it first"),
        (["--precision", "0.5"], "or --precision"),
        (["--scan", "scan.sqlite"], "labelled photos (--data), or"),
    ],
)
def test_mistakes_are_named(options: list[str], words: str, tiny_bundle: Path, data: Path) -> None:
    result = thresholds("-b", tiny_bundle, *TEAM, "-d", data, *options)
    assert result.exit_code == ExitCode.USAGE
    assert words in " ".join(result.stderr.split())


def test_a_policy_that_somebody_wrote_is_not_overwritten(tmp_path: Path, data: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text("review_rate = 0.01\n")
    result = thresholds(*TEAM, "-d", data, "--output", own)
    assert result.exit_code == ExitCode.USAGE
    assert "will not be overwritten" in result.stderr
