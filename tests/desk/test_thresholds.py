"""Thresholds from labelled photos and from outcomes, against worlds in which all is known."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binom

from recognizer.desk.cli.thresholds import _print_choice
from recognizer.desk.outcomes import Judgement, Outcome
from recognizer.desk.thresholds import (
    NO_PRODUCT,
    Choice,
    LabelledPhoto,
    choose,
    measure_labelled,
    measure_reviewed,
    policy_of,
)
from recognizer.errors import UsageError
from recognizer.lab.dataset.manifest import Photo
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.model.description import Estimate
from recognizer.policy.decide import decide
from recognizer.policy.values import FALSE_POSITIVE_RATES, Decision, Policy, Probability, Rate
from recognizer.prediction import Prediction
from recognizer.rows import Row, ScanFile
from recognizer.status import Status
from tests.conftest import invoke, refuse, succeed
from tests.desk.outcomes import outcome, store
from tests.rows.rows import bare_row, write_scan

RELEASED = Path(__file__).parents[2] / "export" / "wildlife-v7"
LABELS = {"ivory": "ivory_raw", "big_cat": "big_cat_skin", "feather": "feather"}
FAMILIES = (*LABELS,)
PREVALENCE = 0.001
SOURCES = {NO_PRODUCT: 40, "ivory": 10, "big_cat": 5, "feather": 1}
DAY = 10_000


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
        highest = tame.max(axis=1)
        self.named = {r: float(expit(np.quantile(highest, 1 - r))) for r in FALSE_POSITIVE_RATES}
        released = load_bundle(RELEASED)
        wanted = (one for one in released.families if one.name in LABELS)
        families = tuple(replace(one, members=(LABELS[one.name],)) for one in wanted)
        self.bundle = replace(released, families=families, any_product_thresholds=self.named)

    def draw(
        self, rng: np.random.Generator, sources: Mapping[str, int] = SOURCES, photos: int = 6
    ) -> tuple[Choice, np.ndarray]:
        """Return what photos of new sources say, and what they show.

        Sources without a product are four times as large.
        """
        scores, drawn, shown = [], [], []
        for family, number in sources.items():
            for source in range(number):
                count = int(rng.geometric(1 / (photos if family else 4 * photos)))
                values = rng.normal(-6, self.spread, 3) + rng.logistic(size=(count, 3))
                if family:
                    values[:, FAMILIES.index(family)] += rng.normal(8, 1.5 * self.spread)
                scores.append(expit(values))
                shown += [family] * count
                drawn += [(LABELS.get(family, "listing_other"), f"{family}/{source}")] * count
        every = [
            LabelledPhoto(*d, dict(zip(LABELS.values(), s, strict=True)), self.bundle.taxonomy)
            for d, s in zip(drawn, np.concatenate(scores).tolist(), strict=True)
        ]
        rates = {"images_per_day": DAY, "prevalence": PREVALENCE}
        return measure_labelled(self.bundle, every, **rates), np.array(shown)

    def truth(self, threshold: float) -> tuple[float, dict[str, float]]:
        """Return the false-positive rate, and the recall of each product."""

        def leads(log_odds: np.ndarray) -> float:
            return float(1 - np.prod(expit(logit(threshold) - log_odds), axis=1).mean())

        shifts = np.eye(3)[:, None] * self.shifts[:, None]
        recall = dict(zip(FAMILIES, map(leads, self.sources - 6 + shifts), strict=True))
        return leads(self.sources - 6), recall


C, R = Judgement.CONFIRMED, Judgement.REJECTED


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(RELEASED)


def holds(estimate: Estimate | None, value: float) -> bool:
    return estimate is not None and estimate.low <= value <= estimate.high


def fits(choice: Choice, cases: int) -> None:
    """A looser threshold has more leads, misses no more, and is chosen if the team has the time."""
    leads = [step.leads.value for step in choice.steps]
    recalls = [step.recall.value for step in choice.steps if step.recall]
    assert (leads, recalls) == (sorted(leads), sorted(recalls))
    assert len(recalls) == len(leads)
    if choice.step.leads.value > cases:
        assert choice.chosen == 0
        assert "of the queue is reached" in choice.notes[0]
    else:
        assert [one for one in leads if one <= cases] == leads[: (choice.chosen or 0) + 1]


@pytest.mark.parametrize("spread", [0.01, 1.0], ids=["independent photos", "photos alike"])
def test_the_intervals_hold_the_truth(spread: float) -> None:
    # The threshold is chosen on the very photos that the intervals rest on.
    world, rng, rounds = World(spread), np.random.default_rng(1), 40
    held = dict.fromkeys(("recall", "leads", "precision"), 0)
    for i in range(rounds):
        drawn, shown = world.draw(rng)
        choice = choose(drawn, capacity=(cases := (1, 100, 400, 1500)[i % 4]))
        fits(choice, cases)
        step = choice.step
        rate, by_family = world.truth(step.threshold)
        recall = float(np.mean([by_family[name] for name in shown[shown != NO_PRODUCT]]))
        found, alarms = PREVALENCE * recall, (1 - PREVALENCE) * rate
        held["recall"] += holds(step.recall, recall)
        held["leads"] += holds(step.leads, DAY * (found + alarms))
        held["precision"] += holds(step.precision, found / (found + alarms))
    assert min(held.values()) >= binom.ppf(0.01, rounds, 0.95), held  # fewer would refute 95 %


def labelled(
    bundle: Bundle, photos: Iterable[tuple[str, float]], prevalence: float = 0.001
) -> Choice:
    custom = bundle.taxonomy.extended({"label": {"whale_tooth": {"kind": "product"}}}, "custom")
    none = dict.fromkeys(bundle.label_names, 0.0)
    shown = [
        LabelledPhoto(label, str(i % 7), none | {"ivory_raw": score}, custom)
        for i, (label, score) in enumerate(photos)
    ]
    return measure_labelled(bundle, shown, images_per_day=DAY, prevalence=prevalence)


SOME = [("listing_other", 0.01)] * 20 + [("ivory_raw", 0.9)] * 3 + [("feather", 0.1)]


@pytest.mark.parametrize(
    ("photos", "prevalence", "words"),
    [
        (SOME, 0.0, "between 0 and 1"),
        (SOME[20:], 0.1, "none without a product"),
        (SOME[:20], 0.1, "none with a product"),
    ],
)
def test_photos_that_tell_nothing_are_refused(
    bundle: Bundle, photos: list[tuple[str, float]], prevalence: float, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        labelled(bundle, photos, prevalence)


@pytest.mark.parametrize("label", ["hornbill_casque", "whale_tooth"])
def test_a_product_that_the_bundle_does_not_know_is_named(bundle: Bundle, label: str) -> None:
    photos = [*SOME[:20], *[(label, 0.999)] * 3, ("ivory_raw", 0.9)]
    notes = choose(labelled(bundle, photos), capacity=400).notes
    assert any(f"does not know {label}" in note for note in notes)
    assert any("No labelled photos: " in note and "big_cat" in note for note in notes)


@pytest.mark.parametrize("cases", [1, 1000, 10_000, 60_000])
def test_the_policy_decides_as_chosen(bundle: Bundle, cases: int) -> None:
    scores = expit(np.random.default_rng(cases).normal(-3, 3, 400)).tolist()
    photos = [("listing_other" if i % 3 else "ivory_raw", one) for i, one in enumerate(scores)]
    base = Policy(name="mine", ignore=frozenset({"feather"}))
    choice = choose(labelled(bundle, photos), capacity=cases)
    policy = policy_of(choice, bundle, base, "next")
    for score in scores:
        labels = dict.fromkeys(bundle.label_names, 0.0) | {"ivory_raw": score}
        rolled_up = bundle.family_scores(np.array([*labels.values()])).tolist()
        families = dict(zip([one.name for one in bundle.families], rolled_up, strict=True))
        prediction = Prediction(status=Status.OK, scores=labels, families=families)
        triage = decide(prediction, bundle, policy)
        assert (triage.decision is not Decision.CLEAR) == (score > choice.step.threshold)
    assert (policy.ignore, policy.rules) == (base.ignore, {})
    # Not every lead has priority: that would be no order at all.
    assert policy.default.review != policy.default.priority or choice.chosen == 0


def test_a_named_any_product_threshold_is_a_rate(bundle: Bundle) -> None:
    many = [("listing_other", i / 300) for i in range(300)]
    choice = choose(labelled(bundle, [*SOME, *many]), capacity=1e9)
    assert isinstance(policy_of(choice, bundle, Policy(), "next").default.review, Probability)
    named = bundle.any_product_thresholds[0.01]
    places = [i for i, step in enumerate(choice.steps) if step.threshold == named]
    policy = policy_of(replace(choice, chosen=places[0]), bundle, Policy(), "next")
    assert (policy.default.review, policy.default.priority) == (Rate(0.01), Rate(0.001))


Image = tuple[float, Judgement | None, float | None]


def said_of(bundle: Bundle, images: Iterable[Image]) -> tuple[list[Row], dict[str, Outcome]]:
    """A scan of which the policy reviewed what is over 0.5 as ivory, and what was said of it."""
    rows: list[Row] = []
    outcomes: dict[str, Outcome] = {}
    for number, (score, judgement, audit) in enumerate(images):
        row = bare_row(f"{number}.jpg", score, "review" if score > 0.5 else "clear", audit=audit)
        scores = dict.fromkeys(bundle.label_names, 0.0) | {"ivory_worked": score}
        rows.append(replace(row, scores=scores, model=bundle.reference))
        if judgement is not None:
            outcomes[row.sha256 or ""] = outcome(judgement, sha256=row.sha256)
    return rows, outcomes


GOOD: list[Image] = [(0.8 + i / 1000, C, None) for i in range(20)]
BAD: list[Image] = [(0.6 + i / 1000, R, None) for i in range(20)]
AUDITED: list[Image] = [(0.3 + i / 1000, C, 0.5) for i in range(40)]
UNSEEN: list[Image] = [(0.3 + i / 1000, None, None) for i in range(40)]
CLEARED: list[Image] = [(0.01, R, 0.1)] * 50


def precise(bundle: Bundle, images: Iterable[Image], precision: float = 0.8) -> Choice:
    return choose(measure_reviewed(bundle, *said_of(bundle, images)), precision=precision)


def test_a_threshold_is_raised_over_what_was_rejected(bundle: Bundle) -> None:
    choice = precise(bundle, [*GOOD, *BAD])
    assert 0.619 <= choice.step.threshold < 0.8
    assert choice.step.leads.value == 20
    assert 0.8 <= choice.step.precision.low < choice.step.precision.value == 1
    assert choice.step.recall is None
    assert any("neither recall nor a lower threshold" in note for note in choice.notes)
    # Open leads at the bottom do not hide what is over them.
    choice = precise(bundle, [*GOOD, *BAD, *[(0.55, None, None)] * 20])
    assert choice.step.leads.value == 20
    assert choice.steps[-1].threshold >= 0.55
    policy = policy_of(choice, bundle, Policy(ignore=frozenset({"rhino_horn"})), "next")
    assert policy.default.review == Probability(choice.step.threshold)
    assert policy.ignore == {"rhino_horn"}


def test_it_is_lowered_only_as_far_as_the_audit_sample_says(bundle: Bundle) -> None:
    for unknown in ([], UNSEEN):  # at least the threshold of the leads
        assert precise(bundle, [*GOOD, *unknown]).steps[-1].threshold >= 0.4
    choice = precise(bundle, [*GOOD, *AUDITED, *UNSEEN, *CLEARED])
    assert choice.step.threshold < 0.3
    assert choice.step.leads.value == 100  # all scores are known
    assert 0.8 <= choice.step.precision.low < choice.step.precision.value == 1
    strict = next(step for step in choice.steps if step.leads.value == 20)
    assert strict.recall.value == pytest.approx(20 / (20 + 40 / 0.5))
    assert strict.recall.low < 0.2 < strict.recall.high


def test_a_miss_that_nobody_could_see_is_in_the_interval_of_the_recall(bundle: Bundle) -> None:
    choice = precise(bundle, [*GOOD, *[(0.45 + i / 1000, C, 0.5) for i in range(9)], *UNSEEN])
    assert choice.steps[-1].recall is None  # nothing under it was looked at
    choice = precise(bundle, [*GOOD, *CLEARED])
    assert choice.step.recall.value == 1
    assert choice.step.recall.low == pytest.approx(20 / (20 + 3.689 * 10), rel=1e-3)
    rows, outcomes = said_of(bundle, [*GOOD, *CLEARED, (0.2, C, 0.1)])
    copies = measure_reviewed(bundle, [*rows, *rows[-1:] * 19], outcomes).steps[0].recall
    assert copies.value == pytest.approx(20 / 220)
    assert copies.low < 20 / 1000  # one event of 200, not twenty of 10


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
    images: list[Image], bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    choice = precise(bundle, images)
    assert choice.step is None
    assert ("The same outcomes choose" in " ".join(choice.notes)) == bool(choice.steps)
    _print_choice(choice, bundle)
    assert ("precision, %" in capsys.readouterr().out) == bool(choice.steps)  # else reasons alone
    assert "review more" in choice.notes[0]
    kept = Policy(name="mine", ignore=frozenset({"coral"}))
    assert policy_of(choice, bundle, kept, "next") == replace(kept, name="next")


def test_rows_of_another_model_are_no_ground(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="name the --model"):
        measure_reviewed(bundle, [bare_row("a", 0.9, "review")], {})
    with pytest.raises(UsageError, match="a share over 0"):
        precise(bundle, GOOD, 50)


TEAM = ("--photos-per-day", 10_000, "--reviewers", 2, "--cases-per-reviewer", 300)


@pytest.fixture
def data(labelled_photos: list[Photo]) -> Path:
    """A folder for each label, and one source."""
    return labelled_photos[0].path.parents[1]


@pytest.fixture
def of_scan(data: Path, tiny_bundle: Path, tmp_path: Path) -> tuple[object, ...]:
    """The command for the scan of this folder, without its labels."""
    path = tmp_path / "labelled.sqlite"
    invoke("scan", data, "-m", tiny_bundle, "-o", path, "-w", 1)
    return ("thresholds", "-s", path, "-m", tiny_bundle, *TEAM, "--labels")


def test_labelled_photos_give_a_table_and_a_policy(
    data: Path, of_scan: tuple[object, ...], tmp_path: Path
) -> None:
    policy, of_data = tmp_path / "next.toml", (*of_scan, data)
    result = succeed(*of_data, "-o", policy, "--policy", "strict")
    assert "36 labelled photos" in " ".join(result.stdout.split())
    assert "at least" in result.stdout  # not a precision of 100 %: no photo of these is over it
    assert Policy.load(policy).name == "next"
    assert Policy.load(policy).keywords == Policy.load("strict").keywords
    choice = json.loads(invoke(*of_data, "--json", "--prevalence", 0.001).stdout)
    assert choice["steps"][choice["chosen"]]["leads"]["value"] <= 600
    assert choice["steps"][choice["chosen"]]["recall"]["value"] == 1
    assert "come from one source" in " ".join(choice["notes"])
    # It may be chosen again in its place, but not in that of a policy that somebody wrote.
    succeed(*of_data, "-o", policy)
    policy.write_text("review_rate = 0.01\n")
    assert "will not be overwritten" in refuse(*of_data, "-o", policy).stderr


def test_a_manifest_says_what_photos_show(
    labelled_photos: list[Photo], of_scan: tuple[object, ...], tmp_path: Path
) -> None:
    lines = [
        f"{photo.sha256},{photo.label},{i % 5},{'test' if i % 4 else 'train'}"
        for i, photo in enumerate(labelled_photos)
    ]
    manifest = tmp_path / "labels.csv"
    manifest.write_text("\n".join(["sha256,label,source,split", *lines, f"{'0' * 64},bone,x,test"]))
    of_data = (*of_scan, manifest)
    assert "27 labelled photos" in succeed(*of_data).stdout
    assert "36 labelled photos" in " ".join(succeed(*of_data, "--split", "all").stdout.split())
    assert "no scored photo of these" in refuse(*of_data, "--split", "validation").stderr
    manifest.write_text(manifest.read_text().replace(",bone", ",bonne").replace("x,test", "1,test"))
    manifest.write_text(manifest.read_text().replace(labelled_photos[1].label, "bonne"))
    assert "unknown label 'bonne'" in refuse(*of_data).stderr
    manifest.write_text("sha256,label\n")
    refuse(*of_data)


@pytest.mark.parametrize("precision", [0.8, 0.99])
def test_outcomes_give_a_policy_with_the_rules_of_its_base(
    bundle: Bundle, tmp_path: Path, precision: float
) -> None:
    """If they say enough of its default."""
    own, output = tmp_path / "own.toml", tmp_path / "next.toml"
    own.write_text("[rules.label.coral]\nreview_probability = 0.3\n")
    rows, outcomes = said_of(bundle, [*GOOD, *BAD])
    scan = write_scan(tmp_path / "scan.sqlite", rows, bundle)
    store(scan, outcomes.values())
    with ScanFile(scan, write=True) as file:
        file.use_policy(Policy.load(own))
    options = ("-s", scan, "--precision", precision, "-o", output)
    choice = json.loads(succeed("thresholds", *options, "--json").stdout)
    assert choice["origin"] == "40 images, 40 of them decided"
    assert any("The rules of 'own' for coral are kept" in note for note in choice["notes"])
    chosen = Policy.load(output)
    assert chosen.rules == Policy.load(own).rules
    if precision == 0.8:
        assert chosen.default.review == Probability(choice["steps"][choice["chosen"]]["threshold"])
    else:
        assert (choice["chosen"], chosen.default) == (None, Policy().default)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--precision", "0.5"], "or --precision"),
        (["--outcomes", "team.sqlite"], "what the photos show (--labels), or outcomes"),
        (["--labels", "nowhere"], "no scored photo of these"),
    ],
)
def test_mistakes_are_named(
    options: list[str], words: str, data: Path, of_scan: tuple[object, ...]
) -> None:
    assert words in " ".join(refuse(*of_scan, data, *options).stderr.split())
