from dataclasses import replace

import numpy as np
import pytest

from recognizer.policy.decide import decide, thresholds_of
from recognizer.policy.values import (
    FALSE_POSITIVE_RATES,
    CandidateKind,
    Decision,
    Policy,
    Probability,
    Rate,
    Rule,
)
from recognizer.prediction import Prediction
from recognizer.status import Status
from tests.rows.rows import known_match
from tests.rules import of_family, of_label, rule

CLEAR, REVIEW, PRIORITY = Decision.CLEAR, Decision.REVIEW, Decision.PRIORITY


def prediction(worked, raw=0.0):
    scores = {"ivory_worked": worked, "ivory_raw": raw, "ceramic": 0.0, "listing_other": 0.0}
    families = {"ivory": 1 - (1 - worked) * (1 - raw)}
    return Prediction(status=Status.OK, scores=scores, families=families)


def labels_of(triage):
    return tuple(lead.name for lead in triage.leads if lead.kind is CandidateKind.LABEL)


WORKED, RAW = "ivory_worked", "ivory_raw"
DEFAULT = Policy()
OWN_RULE = Policy(rules={**of_family("ivory", rule(0.001)), **of_label(WORKED, rule(0.05))})
TABLE = [
    # worked, raw, policy, decision, labels
    (0.0, 0.0, DEFAULT, CLEAR, ()),
    (0.5, 0.0, DEFAULT, CLEAR, ()),  # over, not at, the threshold
    (0.51, 0.0, DEFAULT, REVIEW, (WORKED,)),
    (0.91, 0.0, DEFAULT, PRIORITY, (WORKED,)),
    (0.6, 0.95, DEFAULT, PRIORITY, (RAW, WORKED)),
    (0.45, 0.0, Policy(default=rule(0.05)), REVIEW, (WORKED,)),
    (0.4, 0.4, DEFAULT, REVIEW, ()),  # neither alone, but the family
    (0.8, 0.8, DEFAULT, PRIORITY, (WORKED, RAW)),  # the family is at 0.96
    (0.3, 0.0, Policy(default=rule(0.2, 0.7, p=True)), REVIEW, (WORKED,)),
    (0.75, 0.0, Policy(default=rule(0.2, 0.7, p=True)), PRIORITY, (WORKED,)),
    (0.99, 0.0, Policy(default=rule(1.0, 1, p=True)), CLEAR, ()),
    (0.01, 0.0, Policy(default=rule(0, 1, p=True)), REVIEW, (WORKED,)),
    (0.45, 0.0, Policy(rules=of_label(WORKED, rule(0.05))), REVIEW, (WORKED,)),
    (0.45, 0.0, Policy(rules=of_label(RAW, rule(0.05))), CLEAR, ()),
    # A family's rule holds for the family and for its products,
    (0.6, 0.0, Policy(rules=of_family("ivory", rule(0.001, 0.001))), CLEAR, ()),
    (0.45, 0.0, Policy(rules=of_family("ivory", rule(0.05))), REVIEW, (WORKED,)),
    # unless they have one of their own.
    (0.45, 0.0, OWN_RULE, REVIEW, (WORKED,)),
    # What is ignored does not come back through its family.
    (0.99, 0.0, Policy(ignore=frozenset({WORKED})), CLEAR, ()),
    (0.99, 0.6, Policy(ignore=frozenset({WORKED})), REVIEW, (RAW,)),
    (0.99, 0.99, Policy(ignore=frozenset({WORKED, RAW})), CLEAR, ()),
]


@pytest.mark.parametrize(("worked", "raw", "policy", "decision", "labels"), TABLE)
def test_decisions(worked, raw, policy, decision, labels, bundle):
    triage = decide(prediction(worked, raw), bundle, policy)
    assert (triage.decision, labels_of(triage)) == (decision, labels)
    assert bool(triage.why) == (decision is not CLEAR)


def test_the_rate_of_a_rule_for_a_family_is_that_of_all_it_raises(bundle):
    """One image in twenty passes each threshold of a bundle, and other images each of them."""
    scores = np.random.default_rng(0).beta(0.3, 3, (4000, 2))
    families = 1 - np.prod(1 - scores, axis=1)
    levels = [dict.fromkeys(FALSE_POSITIVE_RATES, float(np.quantile(s, 0.95))) for s in scores.T]
    of_all = dict.fromkeys(FALSE_POSITIVE_RATES, float(np.quantile(families, 0.95)))
    thresholds = dict(zip((WORKED, RAW), levels, strict=True))
    labels = (
        replace(one, thresholds=thresholds.get(one.name, one.thresholds)) for one in bundle.labels
    )
    (family,) = bundle.families
    measured = replace(bundle, labels=tuple(labels), families=(replace(family, thresholds=of_all),))
    policy = Policy(rules=of_family("ivory", rule(0.05)))
    raised = [decide(prediction(*pair), measured, policy) for pair in scores.tolist()]
    assert np.mean([triage.decision is not CLEAR for triage in raised]) == pytest.approx(0.05)
    assert any(labels_of(triage) for triage in raised)


@pytest.mark.parametrize(
    ("review", "score", "expected"),
    [
        (0.3, 0.95, (PRIORITY, 0.9, 0.001)),
        (0.3, 0.6, (REVIEW, 0.3, None)),
        (0.95, 0.96, (PRIORITY, 0.95, None)),  # priority is over both: 0.001 means 0.9 here
    ],
)
def test_a_lead_names_the_threshold_of_its_level(review, score, expected, bundle):
    policy = Policy(default=Rule(review=Probability(review)))
    found = decide(prediction(score), bundle, policy).leads[0]
    assert (found.level, found.threshold, found.false_positive_rate) == expected
    assert decide(prediction(review - 0.01), bundle, policy).leads == ()


@pytest.mark.parametrize(
    ("worked", "known", "decision", "leads"),
    [
        (0.0, (), CLEAR, []),
        (0.0, (known_match(),), REVIEW, ["ivory_raw (known)"]),
        (0.95, (known_match(),), PRIORITY, ["ivory_raw (known)", WORKED, "ivory (family)"]),
        (0.0, (known_match(label=None),), REVIEW, ["ivory_worked (known)"]),
        (0.0, (known_match(label="coral"),), CLEAR, []),  # ignored
        (0.0, (known_match(), known_match(distance=9)), REVIEW, ["ivory_raw (known)"]),
        (
            *(0.0, (known_match(distance=9), known_match(label="rhino_horn")), REVIEW),
            ["rhino_horn (known)", "ivory_raw (known)"],
        ),
    ],
)
def test_an_image_near_a_confirmed_one_is_a_lead(worked, known, decision, leads, bundle):
    triage = decide(prediction(worked), bundle, Policy(ignore=frozenset({"coral"})), known)
    assert (triage.decision, [lead.title for lead in triage.leads]) == (decision, leads)
    assert all(lead.score > lead.threshold for lead in triage.leads)
    assert len(triage.why) == len(leads)
    if known and known[0].distance == 9:
        assert "near the image of outcome" in triage.why[0]


@pytest.mark.parametrize("of", [of_label, of_family])
def test_a_rule_moves_the_level_that_it_names_and_no_other(of, bundle):
    name = "ivory_worked" if of is of_label else "ivory"
    own = replace(bundle, any_product_thresholds={0.05: 0.2, 0.01: 0.3, 0.001: 0.8})
    for given, levels in (
        (Rule(), (0.3, 0.8)),
        (Rule(review=Rate(0.05)), (0.4, 0.8)),
        (Rule(priority=Rate(0.01)), (0.3, 0.5)),
        (Rule(review=Probability(0.9)), (0.9, 0.9)),  # nothing is easier to hurry than to review
    ):
        (entry,) = (
            one
            for one in thresholds_of(own, Policy(rules=of(name, given)))
            if one.candidate.name == name
        )
        assert (entry.review.value, entry.priority.value) == levels
