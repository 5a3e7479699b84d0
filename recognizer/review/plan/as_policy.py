"""A plan as the policy that decides as planned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recognizer._policy_file import policy_toml
from recognizer.policy import (
    FALSE_POSITIVE_RATES,
    CandidateKind,
    Policy,
    Probability,
    Rate,
    Rule,
)
from recognizer.review.plan.evidence import ANY_PRODUCT, Level, family_thresholds
from recognizer.review.plan.planning import Plan

if TYPE_CHECKING:
    from recognizer.model.bundle import Bundle


def policy_of(plan: Plan, bundle: Bundle, name: str) -> Policy:
    """Return the policy that decides as planned.

    Args:
        plan: made for this bundle.
        bundle: whose named thresholds are given as rates where that means the same.
        name: of the policy.
    """
    rules = {
        (CandidateKind.FAMILY, rule): _rule(plan, bundle, rule)
        for rule in plan.step.levels
        if rule != ANY_PRODUCT
    }
    default = _rule(plan, bundle, ANY_PRODUCT) if ANY_PRODUCT in plan.step.levels else Rule()
    return Policy(name=name, default=default, rules=rules)


def _rule(plan: Plan, bundle: Bundle, rule: str) -> Rule:
    """Return a rule: what has priority is over the strictest named threshold, or the strictest."""
    review = plan.step.levels[rule]
    thresholds = (
        bundle.any_product_thresholds if rule == ANY_PRODUCT else family_thresholds(bundle)[rule]
    )
    rate = min(FALSE_POSITIVE_RATES)
    named = Level(threshold=thresholds[rate], rate=rate, is_named=True)
    stricter = [
        level for level in (named, plan.steps[0].levels[rule]) if level.threshold > review.threshold
    ]
    priority = stricter[0] if stricter else review
    return Rule(
        review=_policy_level(bundle, rule, review), priority=_policy_level(bundle, rule, priority)
    )


def _policy_level(bundle: Bundle, rule: str, level: Level) -> Rate | Probability:
    """Return a named threshold as a rate, where a rate has the meaning that was measured.

    A rule for a family by rate gives its labels thresholds of their own. Measured was the family's
    score.
    """
    if not level.is_named:
        return Probability(level.threshold)
    if rule == ANY_PRODUCT:
        return Rate(level.rate)
    members = next(f.members for f in bundle.families if f.name == rule)
    own = [
        candidate.thresholds[level.rate]
        for candidate in bundle.candidates
        if candidate.kind is CandidateKind.LABEL and candidate.name in members
    ]
    # The score of a family is at least that of each member.
    means_the_same = min(own) >= level.threshold if len(own) > 1 else own == [level.threshold]
    return Rate(level.rate) if means_the_same else Probability(level.threshold)


def planned_toml(plan: Plan, policy: Policy) -> str:
    """Return a policy as TOML, with a comment that says what to expect of it."""
    step = plan.step
    comments = (
        f"Planned for {plan.bundle} ({plan.digest[:12]}): {plan.photos_per_day:,} photos a day, "
        f"{plan.prevalence:.4%} with a product,",
        f"{plan.reviewers} reviewers, {plan.cases_per_reviewer} cases each. "
        f"Rests on {plan.origin}.",
        f"Expected: {step.queue.value:,.0f} leads a day ({step.queue.low:,.0f} to "
        f"{step.queue.high:,.0f}), recall {step.recall}.",
        "Probabilities hold for this bundle alone; rates, for any.",
    )
    return policy_toml(policy, comments)
