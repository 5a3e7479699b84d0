"""The policy of a plan decides as the plan says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from recognizer import load_policy
from recognizer.decision import decide
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.policy import CandidateKind, Decision, Probability, Rate
from recognizer.prediction import Prediction
from recognizer.review.plan import (
    BundleEvidence,
    ScoredPhoto,
    ScoredPhotos,
    make_plan,
    planned_toml,
    policy_of,
)
from recognizer.review.plan.evidence import ANY_PRODUCT, Level, level_of
from recognizer.status import Status
from tests.review.plan.worlds import RELEASED, workload


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
    path.write_text(planned_toml(plan, written), encoding="utf-8")
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

    def threshold(family: str, rate: float) -> float:
        key = (CandidateKind.FAMILY, family)
        return next(c.thresholds[rate] for c in bundle.candidates if (c.kind, c.name) == key)

    def rule(family: str, rate: float) -> object:
        level = Level(threshold=threshold(family, rate), rate=rate, is_named=True)
        step = replace(plan.step, levels={family: level, **plan.step.levels})
        planned = replace(plan, steps=(step,), chosen=0)
        return policy_of(planned, bundle, "p").rules[CandidateKind.FAMILY, family].review

    assert rule("antelope_horn", 0.01) == Rate(0.01)
    # A rate would give raw ivory, of which there is little, a threshold of its own.
    assert rule("ivory", 0.01) == Probability(threshold("ivory", 0.01))
