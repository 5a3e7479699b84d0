"""Thresholds and calibrations from outcomes, and the loop from a scan to a better one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recognizer import Recognizer
from recognizer._policy_file import load_policy
from recognizer.cli import ExitCode
from recognizer.errors import UsageError
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.model.description import Calibrated
from recognizer.policy import CandidateKind, Policy, Probability, Rate, Rule
from recognizer.review.outcomes import Judgement, Occasion, Outcome, OutcomeStore
from recognizer.review.proposals import Advice, Proposal, propose_thresholds, with_proposals
from recognizer.rows import Row, last_rows
from recognizer.rows.row import ModelReference, PolicyReference
from tests.conftest import encoded, invoke, picture
from tests.rows.rows import NOW, bare_row

C, R = Judgement.CONFIRMED, Judgement.REJECTED
POLICY = Policy()


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return load_bundle(tiny_bundle)


def scored(
    score: float, judgement: Judgement | None, audit: float | None = None
) -> tuple[float, Judgement | None, float | None]:
    return score, judgement, audit


def proposal(
    bundle: Bundle,
    images: Iterable[tuple[float, Judgement | None, float | None]],
    precision: float = 0.8,
    policy: Policy = POLICY,
) -> Proposal:
    """What is proposed for ivory, of which the default policy reviews what is over 0.5."""
    rows, judgements = [], {}
    for number, (score, judgement, audit) in enumerate(images):
        row = bare_row(f"{number}.jpg", score, "review" if score > 0.5 else "clear", audit=audit)
        scores = {"ivory_worked": score, "ivory_raw": 0.0, "ceramic": 0.0, "listing_other": 0.0}
        model = ModelReference(name=bundle.name, version=bundle.version, digest=bundle.digest)
        reference = PolicyReference(name=policy.name, digest=policy.digest)
        rows.append(replace(row, scores=scores, model=model, policy=reference))
        if judgement is not None:
            judgements[row.sha256 or ""] = judgement
    (found,) = propose_thresholds(rows, judgements, policy, bundle, precision=precision)
    return found


GOOD = [scored(0.8 + i / 1000, C) for i in range(20)]
BAD = [scored(0.6 + i / 1000, R) for i in range(20)]
AUDITED = [scored(0.3 + i / 1000, C, 0.5) for i in range(40)]
CLEARED = [scored(0.01, R, 0.1)] * 50


def test_a_threshold_is_raised_over_what_was_rejected(bundle: Bundle) -> None:
    found = proposal(bundle, [*GOOD, *BAD])
    assert found.advice is Advice.RAISE
    assert found.then is not None
    assert (found.now.threshold, found.then.threshold) == (0.5, 0.619)
    assert found.now.precision is not None
    assert found.now.precision.value == 0.5
    assert found.then.precision is not None
    assert (found.then.leads.value, found.then.confirmed.value) == (20, 20)
    assert 0.8 <= found.then.precision.low < found.then.precision.value


def test_it_is_lowered_only_where_the_audit_sample_says_so(bundle: Bundle) -> None:
    assert proposal(bundle, GOOD).advice is Advice.KEEP
    assert proposal(bundle, [*GOOD, *CLEARED]).advice is Advice.KEEP
    found = proposal(bundle, [*GOOD, *AUDITED, *CLEARED])
    assert found.advice is Advice.LOWER
    assert found.then is not None
    assert found.then.threshold == pytest.approx(0.3, abs=1e-5)  # no lower than what was seen
    assert found.then.leads.value == 20 + 40 / 0.5
    assert found.then.leads.low < 100 < found.then.leads.high
    assert found.then.precision is not None
    assert 0.8 <= found.then.precision.low < found.then.precision.value == 1


@pytest.mark.parametrize(
    ("images", "advice"),
    [
        (GOOD[:3], Advice.UNCERTAIN),
        ([*GOOD, *(scored(0.55, None) for _ in range(20))], Advice.OPEN),
        ([scored(0.9, None)], Advice.OPEN),
        ([scored(0.9, R), *GOOD[:9], *BAD], Advice.UNREACHED),
    ],
)
def test_nothing_is_proposed_that_the_outcomes_do_not_show(
    images: Sequence[tuple[float, Judgement | None, float | None]], advice: Advice, bundle: Bundle
) -> None:
    found = proposal(bundle, images)
    assert (found.advice, found.then) == (advice, None)


def test_open_leads_at_the_bottom_do_not_hide_what_is_over_them(bundle: Bundle) -> None:
    found = proposal(bundle, [*GOOD, *BAD, *(scored(0.55, None) for _ in range(20))])
    assert found.advice is Advice.RAISE
    assert found.now.leads.value == 60


def test_the_proposal_decides_as_it_says_and_leaves_the_rest(bundle: Bundle) -> None:
    found = proposal(bundle, [*GOOD, *BAD])
    policy = with_proposals(replace(POLICY, ignore=frozenset({"rhino_horn"})), [found], bundle)
    assert policy.rules == {
        (CandidateKind.FAMILY, "ivory"): Rule(review=Probability(0.619), priority=Probability(0.9))
    }
    assert policy.ignore == {"rhino_horn"}
    own = Policy(rules={(CandidateKind.LABEL, "ivory_raw"): Rule(review=Rate(0.05))})
    assert proposal(bundle, [*GOOD, *BAD], policy=own).advice is Advice.OWN_RULES


def test_rows_of_another_policy_are_no_ground(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="decide again first"):
        propose_thresholds([bare_row("a", 0.9, "review")], {}, POLICY, bundle, precision=0.5)
    with pytest.raises(UsageError, match="a share over 0"):
        propose_thresholds([], {}, POLICY, bundle, precision=50)


# --- from files, with photos ----------------------------------------------------------------------


def write_photos(folder: Path, seed: int, **colors: int) -> Path:
    folder.mkdir()
    for color, count in colors.items():
        for i in range(count):
            path = folder / f"{color}-{i:03}.jpg"
            path.write_bytes(encoded(picture(color, seed=seed + i)))
    return folder


def scan(folder: Path, bundle: Path, journal: Path) -> Path:
    """Scan with an audit sample of all that is clear."""
    options = ("--bundle", bundle, "--output", journal, "--audit-rate", 1)
    done = invoke("scan", folder, *options, "--workers", 1)
    assert done.exit_code == ExitCode.DONE, done.output
    return journal


def review(store: Path, journal: Path, product_of: dict[str, str], wrong: int = 0) -> None:
    """Say of each photo what its colour stands for; of the first ``wrong`` ones that it does not.

    Photos of a colour that stands for no product are rejected.
    """
    outcomes = []
    for row in sorted(last_rows(journal), key=lambda row: row.source):
        label = product_of.get(Path(row.source).name.partition("-")[0])
        is_wrong = label is not None and int(Path(row.source).stem[-3:]) < wrong
        outcomes.append(_outcome(row, None if is_wrong else label))
    with OutcomeStore(store, create=True) as opened:
        opened.add(outcomes)


def _outcome(row: Row, label: str | None) -> Outcome:
    return Outcome(
        time=NOW,
        reviewer="Ama",
        judgement=R if label is None else C,
        occasion=Occasion.REVIEW if row.audit is None else Occasion.AUDIT,
        sha256=row.sha256,
        label=label,
    )


def measured(journal: Path, store: Path) -> dict[str, Any]:
    done = invoke("measure", journal, "--outcomes", store, "--json")
    assert done.exit_code == ExitCode.DONE, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_reviewers_find_makes_the_next_scan_better(tmp_path: Path, tiny_bundle: Path) -> None:
    """Scan, decide, measure, enrol what was missed, scan again: on photos that are new."""
    pytest.importorskip("onnx")
    product_of = {"red": "ivory_worked", "blue": "rhino_horn"}  # of which the model knows one
    store = tmp_path / "outcomes.sqlite"
    first = write_photos(tmp_path / "monday", 0, red=3, blue=5, green=40, gray=40)
    journal = scan(first, tiny_bundle, tmp_path / "monday.jsonl")
    review(store, journal, product_of)
    decided = tmp_path / "decided"
    assert invoke("outcomes", "dataset", store, decided, "-j", journal).exit_code == ExitCode.DONE
    made = tmp_path / "better-v2"
    negatives = ("--negatives", decided / "listing_other", "--negatives", decided / "ivory_worked")
    options = (*negatives, "--bundle", tiny_bundle, "--output", made)
    done = invoke("enroll", "rhino_horn", decided / "rhino_horn", *options)
    assert done.exit_code == ExitCode.DONE, done.output

    second = write_photos(tmp_path / "tuesday", 500, red=4, blue=8, green=20, gray=20)
    before = scan(second, tiny_bundle, tmp_path / "before.jsonl")
    after = scan(second, made, tmp_path / "after.jsonl")
    review(store, before, product_of)
    figures = [measured(journal, store) for journal in (before, after)]
    recalls = [one["misses"]["recall"]["value"] for one in figures]
    print("recall on new photos, before and after: {:.2f}, {:.2f}".format(*recalls))
    assert recalls[0] == pytest.approx(4 / 12)
    assert recalls[1] == 1
    assert all(one["precision"][0]["precision"]["value"] == 1 for one in figures)


def test_thresholds_and_a_calibration_come_from_a_scan(tmp_path: Path, tiny_bundle: Path) -> None:
    """Of 24 red photos 12 are worked ivory, which the model takes all of them for."""
    store, proposed = tmp_path / "outcomes.sqlite", tmp_path / "proposed.toml"
    folder = write_photos(tmp_path / "photos", 0, red=24, green=40, gray=40)
    journal = scan(folder, tiny_bundle, tmp_path / "scan.jsonl")
    review(store, journal, {"red": "ivory_worked"}, wrong=12)
    of_scan = ("-j", journal, "--bundle", tiny_bundle)
    save_policy(tmp_path / "default.toml")
    options = ("--policy", tmp_path / "default.toml", "--precision", 0.285)
    done = invoke("outcomes", "thresholds", store, proposed, *of_scan, *options)
    assert done.exit_code == ExitCode.DONE, done.output
    assert "keep" in done.stdout
    assert load_policy(proposed).name == "proposed"
    assert "24 decided leads and 80 audited images" in proposed.read_text()
    other = tmp_path / "default.toml"
    refused = invoke("outcomes", "thresholds", store, other, *of_scan, *options)
    assert refused.exit_code == ExitCode.USAGE

    made = tmp_path / "again-v2"
    done = invoke("outcomes", "calibrate", store, "--output", made, *of_scan)
    assert done.exit_code == ExitCode.DONE, done.output
    assert "stand for 104 images" in done.stdout
    old, new = load_bundle(tiny_bundle), load_bundle(made)
    step = new.lineage[-1]
    assert isinstance(step, Calibrated)
    assert (step.photos.photos, step.photos.negatives) == (104, 92)
    assert "photos that reviewers decided on" in (made / "MODEL_CARD.md").read_text()
    kept = [b.labels[b.label_names.index("ceramic")].calibration for b in (old, new)]
    assert kept[0] == kept[1]  # nobody said what else the rejected photos show
    scores = [
        Recognizer(b).predict(folder / "red-020.jpg").scores["ivory_worked"] for b in (old, new)
    ]
    assert scores[0] > 0.9
    assert scores[1] == pytest.approx(0.5, abs=0.1)  # half of such photos were confirmed


def save_policy(path: Path) -> None:
    path.write_text('name = "default"\n')


def test_a_calibration_needs_an_audit_sample(tmp_path: Path, tiny_bundle: Path) -> None:
    folder = write_photos(tmp_path / "photos", 0, red=2)
    journal = scan(folder, tiny_bundle, tmp_path / "scan.jsonl")
    review(tmp_path / "o", journal, {"red": "ivory_worked"})
    options = ("-j", journal, "--bundle", tiny_bundle, "--output", tmp_path / "x-v1")
    done = invoke("outcomes", "calibrate", tmp_path / "o", *options)
    assert done.exit_code == ExitCode.USAGE
    assert "scan with --audit-rate" in " ".join(done.stderr.split())
    assert not (tmp_path / "x-v1").exists()
