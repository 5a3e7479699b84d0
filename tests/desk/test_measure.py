"""Figures of a scan, and thresholds, by the outcomes of its images."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from scipy.special import expit

from recognizer.cli import ExitCode
from recognizer.desk.cli.outcomes import _print_choice
from recognizer.desk.measure import distinct_images, measure_outcomes
from recognizer.desk.outcomes import Judgement, Occasion, open_reviewed
from recognizer.desk.thresholds import choose, measure_reviewed, policy_of
from recognizer.errors import UsageError
from recognizer.model.bundle import load_bundle
from recognizer.policy.decide import decide
from recognizer.policy.values import CandidateKind, Decision, Policy, Probability
from recognizer.prediction import Prediction
from recognizer.rows import ScanFile
from recognizer.status import Status
from recognizer.taxonomy import load_taxonomy
from tests.conftest import invoke, refuse, succeed
from tests.desk.outcomes import outcome, store
from tests.rows.rows import NOW, bare_row, digest, lead, write_scan
from tests.tiny import write_tiny_bundle

C, R, U = Judgement.CONFIRMED, Judgement.REJECTED, Judgement.UNSURE


def said(name, judgement, hours=1, **values):
    return outcome(judgement, time=NOW + timedelta(hours=hours), sha256=digest(name), **values)


def measure(rows, *outcomes):
    with TemporaryDirectory() as folder:
        scan = write_scan(Path(folder) / "scan.sqlite", rows)
        store(scan, outcomes)
        with open_reviewed(scan, None) as (file, stored):
            return measure_outcomes(distinct_images(file), stored, [load_taxonomy()])


def leads(*names, decision="review"):
    return [bare_row(name, 0.7, decision) for name in names]


def test_precision_is_confirmed_among_decided_by_level_and_product():
    rows = [*leads("a", "b", "c", "d"), *leads("e", decision="priority"), bare_row("f", 0, "clear")]
    found = measure(rows, said("a", C), said("b", R), said("c", U), said("e", C), said("f", R))
    assert (found.images, found.leads, found.decided) == (6, 5, 3)
    review = {p.level: p for p in found.precision if p.name is None}[Decision.REVIEW]
    assert (review.confirmed, review.rejected, review.open) == (1, 1, 2)
    assert review.precision.value == 0.5
    assert max(review.precision.low, 1 - review.precision.high) < 0.05
    ivory = [p for p in found.precision if p.name == "ivory_worked"]
    assert {(p.level, p.confirmed) for p in ivory} == {(Decision.REVIEW, 1), (Decision.PRIORITY, 1)}


def test_what_was_confirmed_as_another_product_is_wildlife_and_not_this_product():
    family = lead("ivory", kind=CandidateKind.FAMILY)
    rows = [replace(row, leads=(lead(), family)) for row in leads(*"abcde")]
    labels = {"a": "ivory_worked", "b": "ivory_raw", "c": "coral", "d": None}
    outcomes = [replace(said(name, C), label=label) for name, label in labels.items()]
    found = measure(rows, *outcomes, replace(said("e", R), label="ceramic"))
    counts = {p.kind: (p.confirmed, p.as_product, p.rejected) for p in found.precision}
    assert counts == {None: (4, 2, 1), "label": (4, 1, 1), "family": (4, 2, 1)}  # d: of no product
    shares = {p.kind: p.product_precision.value for p in found.precision if p.product_precision}
    assert shares == {None: 0.4, "label": 0.2, "family": 0.4}
    assert all(p.precision and p.precision.value == 0.8 for p in found.precision)


def test_what_a_known_item_alone_has_raised_is_apart():
    """It is neither a lead of the model, nor cleared: recall stays that of the model."""
    known = lead("ivory_worked", kind=CandidateKind.KNOWN)
    found = [replace(row, leads=(known,)) for row in leads("k")]
    before, after = (
        measure([*leads(*"ab"), *more], said("a", C), said("b", R), said("k", C))
        for more in ([], found)
    )
    assert (before.leads, before.known, after.leads, after.known) == (2, 0, 2, 1)
    assert after.images == before.images + 1
    by_kind = {p.kind: (p.confirmed, p.rejected) for p in after.precision}
    assert by_kind == {None: (1, 1), "label": (1, 1), "known": (1, 0)}


def test_families_of_custom_labels_are_those_of_their_bundle(tmp_path):
    custom = {"label": {"walrus_tusk": {"kind": "product", "family": "ivory"}}}
    taxonomy = load_taxonomy().extended(custom, "own")
    bundle = write_tiny_bundle(tmp_path / "own-v1", taxonomy=taxonomy)
    (row,) = leads("a")
    row = replace(row, leads=(lead("ivory", kind=CandidateKind.FAMILY),))
    scan = write_scan(tmp_path / "scan.sqlite", [row])
    store(scan, [replace(said("a", C), label="walrus_tusk")])
    counted, warned = [], []
    for options in ([], ["--model", bundle]):
        done = succeed("measure", scan, "--json", *options)
        found = json.loads(done.stdout)["precision"]
        counted.append([one["as_product"] for one in found if one["kind"] == "family"])
        warned.append("No model at hand has walrus_tusk" in done.stderr)
    assert (counted, warned) == ([[0], [1]], [True, False])


def cleared(name, audit):
    return bare_row(name, 0.001, "clear", audit=audit)


def test_each_audited_image_stands_for_those_like_it():
    rows = [cleared(f"c{i}", 0.1 if i < 100 else None) for i in range(1000)]
    outcomes = [said(f"c{i}", C if i < 2 else R, occasion=Occasion.AUDIT) for i in range(50)]
    found = measure([*rows, *leads("a", "b")], *outcomes, said("a", C), said("b", R)).misses
    assert (found.cleared, found.drawn, found.audited, found.found) == (1000, 100, 50, 2)
    # 2 of 50, each for 20 of the 1,000.
    assert found.rate.value == pytest.approx(0.04)
    assert 5 * found.rate.low < 0.1 < found.rate.high
    assert found.recall.value == pytest.approx(1 / 41)
    # What reviewers of a listing pick out of its clear images stands for no image that they passed.
    picked = [said(f"c{i}", C) for i in range(50, 60)]
    found = measure(rows, *outcomes, *picked).misses
    assert (found.drawn, found.audited, found.found) == (100, 60, 12)
    assert found.rate.value == pytest.approx((2 / 50 * 90 + 10) / 0.1 / 1000)


def test_an_image_counts_once_whatever_the_number_of_its_listings():
    """Thirty listings with one photo are one lead, one decision, and one draw of an audit."""
    same = [replace(row, sha256=digest("one")) for row in leads(*(f"L{i}" for i in range(30)))]
    strong = replace(same[0], source="L30", leads=(lead(level=Decision.PRIORITY),))
    found = measure([*same, strong, *leads("a", "b")], said("one", C), said("a", R))
    assert (found.images, found.leads, found.decided) == (3, 3, 2)
    counts = {(p.name, p.level): (p.confirmed, p.rejected, p.open) for p in found.precision}
    assert counts == {
        (name, level): numbers
        for name in (None, "ivory_worked")
        for level, numbers in (("priority", (1, 0, 0)), ("review", (0, 1, 1)))
    }
    same = [replace(cleared(f"s{i}", 0.1), sha256=digest("s")) for i in range(40)]
    rows = [*same, *(cleared(f"c{i}", 0.1 if i < 100 else None) for i in range(1000))]
    of_others = [said(f"c{i}", R, occasion=Occasion.AUDIT) for i in range(100)]
    misses = measure(rows, said("s", C, occasion=Occasion.AUDIT), *of_others).misses
    assert (misses.cleared, misses.drawn, misses.audited, misses.found) == (1001, 101, 101, 1)
    assert misses.rate.value == pytest.approx(10 / 1001)


def test_only_leads_of_products_are_measured():
    """By the policy strict, animals, damaged and failed images are reviewed too."""
    animals = [replace(row, leads=()) for row in leads(*"abc")]
    found = measure([*animals, *leads("d")], *(said(name, C) for name in "abcd"))
    assert (found.images, found.leads, found.decided, found.misses) == (4, 1, 1, None)


def audited(rows, *outcomes):
    """The misses of these rows, and of a hundred clear images of which 2 of 50 are found."""
    rows = [*rows, *(cleared(f"c{i}", 0.5 if i < 50 else None) for i in range(100))]
    audit = [said(f"c{i}", C if i < 2 else R, occasion=Occasion.AUDIT) for i in range(50)]
    return measure(rows, *audit, *outcomes).misses


def test_open_leads_are_no_misses():
    rows = leads(*(f"a{i}" for i in range(40)))
    assert audited(rows, *[said(f"a{i}", C) for i in range(10)]).recall is None
    decided = [said(f"a{i}", C if i % 2 else R) for i in range(36)]
    found = audited(rows, *decided).recall
    assert found.value == pytest.approx(20 / 24)  # half of the open ones, too
    nothing = audited(rows, *(said(f"a{i}", R) for i in range(40))).recall
    assert (nothing.value, nothing.low) == (0, 0)  # no lead was any
    every = audited(rows, *decided, *(said(f"a{i}", C) for i in range(36, 40))).recall
    none = audited(rows, *decided, *(said(f"a{i}", R) for i in range(36, 40))).recall
    assert found.low == pytest.approx(none.low)
    assert found.high == pytest.approx(every.high)
    assert audited([]).recall.high == 0  # nothing was a lead


RELEASED = Path(__file__).parents[2] / "export" / "wildlife-v8"


@pytest.fixture(scope="module")
def bundle():
    return load_bundle(RELEASED)


@pytest.mark.parametrize("cases", [1, 50, 200])
def test_the_policy_decides_as_chosen(bundle, cases):
    scores = expit(np.random.default_rng(0).normal(-1, 3, 400)).tolist()
    images = [(one, C if one > 0.7 else R, None if one > 0.5 else 1.0) for one in scores]
    base = Policy(name="mine", ignore=frozenset({"feather"}))
    measured = measure_reviewed(bundle, *said_of(bundle, images))
    choice = choose(measured, capacity=cases)
    leads = [step.leads for step in choice.steps]
    assert leads == sorted(leads)
    if choice.step.leads > cases:
        assert choice.chosen == 0
        assert "of the queue, the highest" in choice.notes[0]
    else:
        assert [one for one in leads if one <= cases] == leads[: choice.chosen + 1]
    policy = policy_of(choice.step, base, "next")
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


def said_of(bundle, images):
    """The rows of a scan in which leads of ivory are over 0.5, and their outcomes."""
    rows = []
    outcomes = {}
    for number, (score, judgement, audit) in enumerate(images):
        row = bare_row(f"{number}.jpg", score, "review" if score > 0.5 else "clear", audit=audit)
        scores = dict.fromkeys(bundle.label_names, 0.0) | {"ivory_worked": score}
        rows.append([replace(row, scores=scores, model=bundle.reference)])
        if judgement is not None:
            outcomes[row.sha256 or ""] = outcome(judgement, sha256=row.sha256)
    return rows, outcomes


GOOD = [(0.8 + i / 1000, C, None) for i in range(20)]
BAD = [(0.6 + i / 1000, R, None) for i in range(20)]
AUDITED = [(0.3 + i / 1000, C, 0.5) for i in range(40)]
UNSEEN = [(0.3 + i / 1000, None, None) for i in range(40)]
CLEARED = [(0.01, R, 0.1)] * 50


def precise(bundle, images, precision=0.8):
    return choose(measure_reviewed(bundle, *said_of(bundle, images)), precision=precision)


def test_a_threshold_is_raised_over_what_was_rejected(bundle):
    choice = precise(bundle, [*GOOD, *BAD])
    assert 0.619 <= choice.step.threshold < 0.8
    assert choice.step.leads == 20
    assert 0.8 <= choice.step.precision.low < choice.step.precision.value == 1
    assert choice.step.recall is None
    assert any("neither recall nor a lower threshold" in note for note in choice.notes)
    # Open leads at the bottom do not hide what is over them.
    choice = precise(bundle, [*GOOD, *BAD, *[(0.55, None, None)] * 20])
    assert choice.step.leads == 20
    assert choice.steps[-1].threshold >= 0.55


def test_it_is_lowered_only_as_far_as_the_audit_sample_says(bundle):
    for unknown in ([], UNSEEN):  # at least the threshold of the leads
        assert precise(bundle, [*GOOD, *unknown]).steps[-1].threshold >= 0.4
    choice = precise(bundle, [*GOOD, *AUDITED, *UNSEEN, *CLEARED])
    assert choice.step.threshold < 0.3
    assert choice.step.leads == 100  # all scores are known
    assert 0.8 <= choice.step.precision.low < choice.step.precision.value == 1
    strict = next(step for step in choice.steps if step.leads == 20)
    assert strict.recall.value == pytest.approx(20 / (20 + 40 / 0.5))
    assert strict.recall.low < 0.2 < strict.recall.high


def test_an_image_counts_once_towards_a_threshold(bundle):
    rows, outcomes = said_of(bundle, [*GOOD[:4], *CLEARED])
    for same in rows[4:7]:  # clear in a listing, and raised in another without a lead
        same.append(replace(same[0], decision=Decision.REVIEW, audit=None))
    rows[0] *= 30
    assert precise(bundle, [*GOOD[:4], *CLEARED]).step is None
    choice = choose(measure_reviewed(bundle, rows, outcomes), precision=0.8)
    assert choice.step is None  # four images decided, not thirty-three
    assert choice.origin == "54 distinct images, 51 of them decided"


@pytest.mark.parametrize(
    "images",
    [
        GOOD[:4],
        [*GOOD, *[(0.999, None, None)] * 20],
        [(0.9, None, None)],
        [(0.9, R, None), *GOOD[:9], *BAD],
    ],
)
def test_nothing_is_chosen_that_the_outcomes_do_not_show(images, bundle, capsys):
    choice = precise(bundle, images)
    assert choice.step is None
    assert ("The same outcomes choose" in " ".join(choice.notes)) == bool(choice.steps)
    _print_choice(choice, bundle)
    assert ("precision, %" in capsys.readouterr().out) == bool(choice.steps)  # else reasons alone
    assert "review more" in choice.notes[0]


def test_rows_of_another_model_are_no_ground(bundle):
    with pytest.raises(UsageError, match="name the --model"):
        measure_reviewed(bundle, [[bare_row("a", 0.9, "review")]], {})
    with pytest.raises(UsageError, match="a share over 0"):
        precise(bundle, GOOD, 50)


@pytest.mark.parametrize("precision", [0.8, 0.99])
def test_outcomes_give_a_policy_with_the_rules_of_its_base(bundle, tmp_path, precision):
    """Nothing is written, and the exit code is 3, if they say too little of its default."""
    own, output = tmp_path / "own.toml", tmp_path / "next.toml"
    own.write_text("[rules.label.coral]\nreview_probability = 0.3\n")
    rows, outcomes = said_of(bundle, [*GOOD, *BAD])
    scan = write_scan(tmp_path / "scan.sqlite", [row for same in rows for row in same], bundle)
    store(scan, outcomes.values())
    with ScanFile(scan, write=True) as file:
        file.use_policy(Policy.load(own))
    options = ("-s", scan, "--precision", precision, "-o", output)
    code = ExitCode.DONE if precision == 0.8 else ExitCode.SOME_FAILED
    done = invoke("thresholds", *options, "--json", code=code)
    choice = json.loads(done.stdout)
    assert choice["origin"] == "40 distinct images, 40 of them decided"
    assert any("The rules of 'own' for coral are kept" in note for note in choice["notes"])
    assert output.exists() is (precision == 0.8)
    if precision == 0.8:
        chosen = Policy.load(output)
        assert chosen.rules == Policy.load(own).rules
        assert chosen.default.review == Probability(choice["steps"][choice["chosen"]]["threshold"])
        succeed("thresholds", *options)  # it may be chosen again in its place
        output.write_text("review_rate = 0.01\n")  # but not in that of somebody's own policy
        assert "will not be overwritten" in refuse("thresholds", *options).stderr
    else:
        assert choice["chosen"] is None
        assert f"No threshold was chosen; {output} was not written" in done.stderr
    team = refuse("thresholds", *options, "--cases-per-reviewer", 9)
    assert "or --precision" in " ".join(team.stderr.split())
