"""Thresholds from outcomes."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from recognizer.cli import ExitCode
from recognizer.desk.cli.thresholds import _print_choice
from recognizer.desk.outcomes import Judgement, Outcome
from recognizer.desk.thresholds import Choice, choose, measure_reviewed, policy_of
from recognizer.errors import UsageError
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.policy.decide import decide
from recognizer.policy.values import Decision, Policy, Probability
from recognizer.prediction import Prediction
from recognizer.rows import Row, ScanFile
from recognizer.status import Status
from tests.conftest import invoke, refuse, succeed
from tests.desk.outcomes import outcome, store
from tests.rows.rows import bare_row, write_scan

RELEASED = Path(__file__).parents[2] / "export" / "wildlife-v8"
C, R = Judgement.CONFIRMED, Judgement.REJECTED


@pytest.fixture(scope="module")
def bundle() -> Bundle:
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
        assert "of the queue is reached" in choice.notes[0]
    else:
        assert [one for one in leads if one <= cases] == leads[: choice.chosen + 1]
    policy = policy_of(choice, choice.step, base, "next")
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


Image = tuple[float, Judgement | None, float | None]


def said_of(bundle: Bundle, images: Iterable[Image]) -> tuple[list[list[Row]], dict[str, Outcome]]:
    """The rows of a scan in which leads of ivory are over 0.5, and their outcomes."""
    rows: list[list[Row]] = []
    outcomes: dict[str, Outcome] = {}
    for number, (score, judgement, audit) in enumerate(images):
        row = bare_row(f"{number}.jpg", score, "review" if score > 0.5 else "clear", audit=audit)
        scores = dict.fromkeys(bundle.label_names, 0.0) | {"ivory_worked": score}
        rows.append([replace(row, scores=scores, model=bundle.reference)])
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
    base = Policy(ignore=frozenset({"rhino_horn"}))
    policy = policy_of(choice, choice.step, base, "next")
    assert policy.default.review == Probability(choice.step.threshold)
    assert policy.ignore == {"rhino_horn"}


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


def test_an_image_counts_once_whatever_the_number_of_its_listings(bundle):
    rows, outcomes = said_of(bundle, [*GOOD[:4], *CLEARED])
    rows[0] *= 30
    assert precise(bundle, [*GOOD[:4], *CLEARED]).step is None
    choice = choose(measure_reviewed(bundle, rows, outcomes), precision=0.8)
    assert choice.step is None  # four images decided, not thirty-three
    assert choice.origin == "54 distinct images, 54 of them decided"


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
