"""What a policy makes of a prediction: leads, a decision, and a sentence for each reason."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any, NamedTuple

from recognizer.model.bundle import Bundle
from recognizer.model.description import counted
from recognizer.policy.listing_columns import Role, as_count, value_of
from recognizer.policy.values import (
    Candidate,
    CandidateKind,
    Decision,
    Finding,
    KnownMatch,
    Lead,
    Level,
    Policy,
    Rate,
    Verdict,
)
from recognizer.prediction import HASH_BITS, Prediction
from recognizer.status import Reason, Status


class LeadThresholds(NamedTuple):
    """The thresholds of a candidate, and its ``members`` without those that are ignored.

    A threshold comes with its false-positive rate, if it stands for one. ``priority`` is at least
    ``review``.
    """

    candidate: Candidate
    members: tuple[str, ...]
    review: tuple[float, float | None]
    priority: tuple[float, float | None]


def decide(
    prediction: Prediction,
    bundle: Bundle,
    policy: Policy,
    known: Sequence[KnownMatch] = (),
    columns: Mapping[str, Any] | None = None,
    *,
    limits: Sequence[LeadThresholds] | None = None,
) -> Verdict:
    """Apply a policy to an image, the known items that it is near and its listing's own columns.

    For many predictions, ``limits`` are those of :func:`limits_of`.
    """
    if prediction.status is Status.FAILED:
        verdict = Verdict(decision=Decision.UNSCORED, image_decision=Decision.UNSCORED)
        if policy.always_review.failed and prediction.reason not in UNREADABLE_REASONS:
            verdict = _at_least(Decision.REVIEW, verdict, f"not scored: {prediction.reason}")
    else:
        if limits is None:
            limits = limits_of(bundle, policy)
        leads = _leads(prediction, limits)
        decision = max((lead.level for lead in leads), key=severity, default=Decision.CLEAR)
        why = tuple(_sentence(lead, prediction) for lead in leads)
        verdict = Verdict(decision=decision, leads=leads, why=why, image_decision=decision)
        verdict = _with_known(verdict, policy, known)
        verdict = _always_reviewed(verdict, prediction, policy, bundle.animals)
    if verdict.image_decision is not verdict.decision:
        verdict = replace(verdict, image_decision=verdict.decision)
    return with_listing(verdict, policy, columns)


severity = [Decision.UNSCORED, Decision.CLEAR, Decision.REVIEW, Decision.PRIORITY].index
"""The place of a decision among the others, the strongest last."""

UNREADABLE_REASONS = (
    *(Reason.NO_IMAGE, Reason.NOT_FOUND, Reason.PERMISSION_DENIED, Reason.NOT_A_FILE),
    *(Reason.READ_ERROR, Reason.SOURCE_REFUSED, Reason.INTERNAL_ERROR),
)
"""Why an image was not read at all, so that nobody could review it."""


def _at_least(level: Decision, verdict: Verdict, reason: str) -> Verdict:
    if severity(verdict.decision) >= severity(level):
        return verdict
    return replace(verdict, decision=level, why=(*verdict.why, f"{level}: {reason}"))


def _always_reviewed(
    verdict: Verdict, prediction: Prediction, policy: Policy, animals: Sequence[str]
) -> Verdict:
    rule = policy.always_review
    if rule.degraded and prediction.status is Status.DEGRADED:
        verdict = _at_least(Decision.REVIEW, verdict, f"degraded: {prediction.reason}")
    if rule.animals is not None and animals:
        name = max(animals, key=lambda animal: prediction.scores[animal])
        if (score := prediction.scores[name]) > rule.animals:
            reason = f"a living animal: {name} {score:.3f} > {rule.animals:.3f}"
            verdict = _at_least(Decision.REVIEW, verdict, reason)
    return verdict


def with_listing(verdict: Verdict, policy: Policy, columns: Mapping[str, Any] | None) -> Verdict:
    """Return a verdict on an image after the keywords and the reports in its listing's columns."""
    if hits := policy.keywords.hits(columns):
        is_lead = severity(verdict.decision) >= severity(Decision.REVIEW)
        raised = Decision.PRIORITY if is_lead else Decision.REVIEW
        named = ", ".join(f"{hit.keyword!r} in {hit.column!r}" for hit in hits[:_MAX_NAMED])
        more = f" and {len(hits) - _MAX_NAMED} more" if len(hits) > _MAX_NAMED else ""
        change = "" if raised is verdict.decision else f"one level up from {verdict.decision} for "
        sentence = f"{raised}: {change}keywords: {named}{more}"
        verdict = replace(verdict, decision=raised, why=(*verdict.why, sentence), keywords=hits)
    for level in (Decision.PRIORITY, Decision.REVIEW):
        least = getattr(policy.reports, level)
        if least is not None:
            count = as_count(value_of(columns or {}, Role.REPORTS)) or 0
            if count >= least:
                verdict = _at_least(level, verdict, f"{counted(count, 'report')} by users")
    return verdict


_MAX_NAMED = 5  # keywords in a sentence; all of them are in the row


def limits_of(bundle: Bundle, policy: Policy) -> tuple[LeadThresholds, ...]:
    """Return the limits of all candidates; without a rule they are the any-product thresholds."""
    family_of = {
        member: candidate.name
        for candidate in bundle.candidates
        if candidate.kind is CandidateKind.FAMILY
        for member in candidate.members
    }
    found = []
    for candidate in bundle.candidates:
        left = tuple(member for member in candidate.members if member not in policy.ignore)
        is_label = candidate.kind is CandidateKind.LABEL
        if not left or (not is_label and len(left) < 2):  # the one label speaks for itself
            continue
        own = policy.rules.get((candidate.kind, candidate.name))
        if own is None and is_label:
            own = policy.rules.get((CandidateKind.FAMILY, family_of.get(candidate.name, "")))
        rule = own or policy.default
        thresholds = candidate.thresholds if own else bundle.any_product_thresholds
        review = _threshold(rule.review, thresholds)
        priority = max(_threshold(rule.priority, thresholds), review, key=itemgetter(0))
        found.append(LeadThresholds(candidate, left, review, priority))
    return tuple(found)


def _leads(prediction: Prediction, limits: Sequence[LeadThresholds]) -> tuple[Lead, ...]:
    leads = []
    for own in limits:
        score = _score(own, prediction)
        if score > own.review[0]:
            is_priority = score > own.priority[0]
            threshold, rate = own.priority if is_priority else own.review
            lead = Lead(
                kind=own.candidate.kind,
                name=own.candidate.name,
                score=score,
                threshold=threshold,
                false_positive_rate=rate,
                level=Decision.PRIORITY if is_priority else Decision.REVIEW,
            )
            leads.append(lead)
    return tuple(sorted(leads, key=lambda lead: -lead.score))


def _score(limits: LeadThresholds, prediction: Prediction) -> float:
    """Return a candidate's score without the products that are ignored."""
    candidate = limits.candidate
    if candidate.kind is CandidateKind.LABEL:
        return prediction.scores[candidate.name]
    if len(limits.members) == len(candidate.members):
        return prediction.families[candidate.name]
    return 1 - math.prod(1 - prediction.scores[member] for member in limits.members)


def _threshold(level: Level, thresholds: Mapping[float, float]) -> tuple[float, float | None]:
    if isinstance(level, Rate):
        return thresholds[level.value], level.value
    return level.value, None


def _sentence(lead: Lead, prediction: Prediction) -> str:
    rate = lead.false_positive_rate
    basis = "" if rate is None else f" (false-positive rate {rate:.1%})"
    frame = f" in frame {prediction.frame}" if (prediction.frames or 1) > 1 else ""
    return f"{lead.level}: {lead.title} {lead.score:.3f} > {lead.threshold:.3f}{basis}{frame}"


def _with_known(verdict: Verdict, policy: Policy, known: Sequence[KnownMatch]) -> Verdict:
    near = [match for match in known if match.distance <= policy.known.distance]
    products = [m for m in near if m.finding is Finding.PRODUCT and m.label not in policy.ignore]
    if products and policy.known.product != "nothing":
        effect = Decision(policy.known.product)
        strongest = max(verdict.decision, effect, key=severity)
        why = (*verdict.why, _match_sentence(effect, products))
        return replace(verdict, decision=strongest, why=why)
    cleared = [match for match in near if match.finding is Finding.CLEARED]
    if cleared and not products and policy.known.cleared == "clear":
        silenced = "; it would have been " + "; ".join(verdict.why) if verdict.why else ""
        why = (_match_sentence(Decision.CLEAR, cleared) + silenced,)
        return Verdict(decision=Decision.CLEAR, why=why, image_decision=Decision.CLEAR)
    return verdict


def _match_sentence(effect: Decision, matches: Sequence[KnownMatch]) -> str:
    nearest = min(matches, key=lambda match: (match.distance, match.id))
    label = f" ({nearest.label})" if nearest.label else ""
    others = f", and {len(matches) - 1} more" if len(matches) > 1 else ""
    return (
        f"{effect}: near the known item {nearest.id}{label}, "
        f"{nearest.distance} of {HASH_BITS} bits apart{others}"
    )
