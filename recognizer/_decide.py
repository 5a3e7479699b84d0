"""What a policy makes of a prediction: leads, a decision, and a sentence for each reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import itemgetter

from recognizer.policy import (
    Candidate,
    CandidateKind,
    Decision,
    Effect,
    Finding,
    KnownMatch,
    Lead,
    Level,
    Policy,
    Rate,
    Verdict,
)
from recognizer.prediction import HASH_BITS, Prediction
from recognizer.status import Status


def decide(
    prediction: Prediction,
    candidates: Sequence[Candidate],
    any_product_thresholds: Mapping[float, float],
    policy: Policy,
    known: Sequence[KnownMatch] = (),
) -> Verdict:
    """Apply a policy; candidates without a rule of their own have the any-product thresholds."""
    if prediction.status is Status.FAILED:
        return Verdict(decision=Decision.UNSCORED, leads=(), why=())
    leads = _leads(prediction, candidates, any_product_thresholds, policy)
    decision = max((lead.level for lead in leads), key=_severity, default=Decision.CLEAR)
    why = tuple(_sentence(lead, prediction) for lead in leads)
    return _with_known(Verdict(decision=decision, leads=leads, why=why), policy, known)


_severity = [Decision.CLEAR, Decision.REVIEW, Decision.PRIORITY].index


def _leads(
    prediction: Prediction,
    candidates: Sequence[Candidate],
    any_product_thresholds: Mapping[float, float],
    policy: Policy,
) -> tuple[Lead, ...]:
    family_of = {
        member: candidate.name
        for candidate in candidates
        if candidate.kind is CandidateKind.FAMILY
        for member in candidate.members
    }
    leads = []
    for candidate in candidates:
        score = _score(candidate, prediction, policy)
        if score is None:
            continue
        own = policy.rules.get((candidate.kind, candidate.name))
        if own is None and candidate.kind is CandidateKind.LABEL:
            own = policy.rules.get((CandidateKind.FAMILY, family_of.get(candidate.name, "")))
        rule = own or policy.default
        thresholds = candidate.thresholds if own else any_product_thresholds
        level, (threshold, rate) = Decision.REVIEW, _threshold(rule.review, thresholds)
        strong = _threshold(rule.priority, thresholds)
        if score > max(threshold, strong[0]):
            level = Decision.PRIORITY
            threshold, rate = max(strong, (threshold, rate), key=itemgetter(0))
        if score > threshold:
            leads.append(
                Lead(
                    kind=candidate.kind,
                    name=candidate.name,
                    score=score,
                    threshold=threshold,
                    false_positive_rate=rate,
                    level=level,
                )
            )
    return tuple(sorted(leads, key=lambda lead: -lead.score))


def _score(candidate: Candidate, prediction: Prediction, policy: Policy) -> float | None:
    """Return a score without the ignored products; None where the candidate can be no lead."""
    left = [member for member in candidate.members if member not in policy.ignore]
    if candidate.kind is CandidateKind.LABEL:
        return prediction.scores[candidate.name] if left else None
    if len(left) < 2:  # the one label speaks for itself
        return None
    if len(left) == len(candidate.members):
        return prediction.families[candidate.name]
    return 1 - math.prod(1 - prediction.scores[member] for member in left)


def _threshold(level: Level, thresholds: Mapping[float, float]) -> tuple[float, float | None]:
    if isinstance(level, Rate):
        return thresholds[level.value], level.value
    return level.value, None


def _sentence(lead: Lead, prediction: Prediction) -> str:
    family = " (family)" if lead.kind is CandidateKind.FAMILY else ""
    rate = lead.false_positive_rate
    basis = "" if rate is None else f" (false-positive rate {rate:.1%})"
    frame = f" in frame {prediction.frame}" if (prediction.frames or 1) > 1 else ""
    return (
        f"{lead.level}: {lead.name}{family} {lead.score:.3f} > {lead.threshold:.3f}{basis}{frame}"
    )


def _with_known(verdict: Verdict, policy: Policy, known: Sequence[KnownMatch]) -> Verdict:
    near = [match for match in known if match.distance <= policy.known.distance]
    products = [
        match
        for match in near
        if match.finding is Finding.PRODUCT and match.label not in policy.ignore
    ]
    if products and policy.known.product is not Effect.NOTHING:
        effect = Decision(policy.known.product.value)
        strongest = max(verdict.decision, effect, key=_severity)
        why = (*verdict.why, _match_sentence(effect, products))
        return replace(verdict, decision=strongest, why=why)
    cleared = [match for match in near if match.finding is Finding.CLEARED]
    if cleared and not products and policy.known.cleared is Effect.CLEAR:
        silenced = "; it would have been " + "; ".join(verdict.why) if verdict.why else ""
        why = (_match_sentence(Decision.CLEAR, cleared) + silenced,)
        return Verdict(decision=Decision.CLEAR, leads=(), why=why)
    return verdict


def _match_sentence(effect: Decision, matches: Sequence[KnownMatch]) -> str:
    nearest = min(matches, key=lambda match: (match.distance, match.id))
    label = f" ({nearest.label})" if nearest.label else ""
    others = f", and {len(matches) - 1} more" if len(matches) > 1 else ""
    return (
        f"{effect}: near the known item {nearest.id}{label}, "
        f"{nearest.distance} of {HASH_BITS} bits apart{others}"
    )
