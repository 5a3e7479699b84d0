"""What a bundle says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from recognizer.errors import UsageError
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.policy import FALSE_POSITIVE_RATES
from recognizer.review.plan import BundleEvidence, make_plan
from recognizer.review.plan.evidence import ANY_PRODUCT
from recognizer.review.plan.intervals import UNKNOWN
from tests.review.plan.worlds import workload


def test_a_bundle_alone_gives_a_first_plan(bundle: Bundle) -> None:
    plan = make_plan(bundle, BundleEvidence(bundle=bundle), workload(prevalence=0.0003))
    assert len(plan.steps) == len(FALSE_POSITIVE_RATES)
    assert all(step.levels[ANY_PRODUCT].is_named for step in plan.steps)
    strict, default, loose = plan.steps
    # As measured on new sources, and not the 1 % that was aimed at.
    assert bundle.evaluation is not None
    measured = bundle.evaluation.flagged_negatives
    assert measured not in {None, 0.01}
    assert default.false_positive_rate.value == pytest.approx(measured, abs=1e-4)
    assert strict.recall.value < default.recall.value < loose.recall.value
    assert any(f"{measured:.2%}" in note for note in plan.notes)


def test_a_bundle_without_figures_says_that_rates_are_not_measured(tiny_bundle: Path) -> None:
    tiny = load_bundle(tiny_bundle)
    evidence = BundleEvidence(bundle=tiny)
    with pytest.raises(UsageError, match="give a prevalence for each"):
        make_plan(tiny, evidence, workload(prevalence=0.001))
    plan = make_plan(tiny, evidence, workload(prevalence={"ivory": 0.001}))
    assert plan.step.false_positive_rate.high == 1
    assert plan.step.recall == UNKNOWN
    assert any("not measured" in note for note in plan.notes)
