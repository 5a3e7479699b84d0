"""Apply a policy to a prediction: leads, a decision, and a sentence for each reason."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

from recognizer.policy.values import (
    QUEUE_ORDER,
    Candidate,
    CandidateKind,
    Decision,
    KnownMatch,
    Lead,
    Policy,
    Rate,
    Threshold,
    Triage,
)
from recognizer.prediction import HASH_BITS, MAX_DISTANCE, Prediction
from recognizer.status import Reason, Status


class Scale(Protocol):
    """The parts of a bundle that decisions need."""

    @property
    def candidates(self) -> tuple[Candidate, ...]: ...
    @property
    def any_product_thresholds(self) -> Mapping[float, float]: ...
    @property
    def animals(self) -> tuple[str, ...]: ...


class MeasuredThreshold(NamedTuple):
    """A threshold, and its false-positive rate unless the policy gives a probability."""

    value: float
    false_positive_rate: float | None


class LeadThresholds(NamedTuple):
    """The thresholds of a candidate, and its ``members`` without those that are ignored.

    ``priority`` is at least ``review``.
    """

    candidate: Candidate
    members: tuple[str, ...]
    review: MeasuredThreshold
    priority: MeasuredThreshold


def decide(
    prediction: Prediction,
    bundle: Scale,
    policy: Policy,
    known: Sequence[KnownMatch] = (),
    columns: Mapping[str, Any] | None = None,
    *,
    thresholds: Sequence[LeadThresholds] | None = None,
) -> Triage:
    """Apply a policy to an image, the confirmed images that it is near, and its listing's columns.

    For many predictions, ``thresholds`` are those of :func:`thresholds_of`.
    """
    triage = Triage(decision=Decision.CLEAR)
    if prediction.status is not Status.FAILED:
        if thresholds is None:
            thresholds = thresholds_of(bundle, policy)
        found = [
            *_leads(prediction, thresholds),
            *_known_leads(known, policy, prediction, thresholds),
        ]
        found.sort(key=lambda pair: -pair[0].score)
        leads = tuple(lead for lead, _ in found)
        decision = min(
            (lead.level for lead in leads), key=QUEUE_ORDER.index, default=Decision.CLEAR
        )
        triage = Triage(decision=decision, leads=leads, why=tuple(why for _, why in found))
        triage = _with_animals(triage, prediction, policy, bundle.animals)
    if prediction.status is not Status.OK and triage.decision is Decision.CLEAR:
        triage = _unscored(prediction, policy)
    return with_keywords(triage, policy, columns)


UNREADABLE_REASONS = (
    *(Reason.NO_IMAGE, Reason.NOT_FOUND, Reason.PERMISSION_DENIED, Reason.NOT_A_FILE),
    *(Reason.READ_ERROR, Reason.SOURCE_REFUSED),
)
"""Reasons for which an image was not read at all, so that nobody could review it."""


def _reviewed(triage: Triage, reason: str) -> Triage:
    if triage.decision.is_lead:
        return triage
    return replace(triage, decision=Decision.REVIEW, why=(*triage.why, f"review: {reason}"))


def _with_animals(
    triage: Triage, prediction: Prediction, policy: Policy, animals: Sequence[str]
) -> Triage:
    limit = policy.always_review.animals
    if limit is None or not animals:
        return triage
    name = max(animals, key=lambda animal: prediction.scores[animal])
    if (score := prediction.scores[name]) <= limit:
        return triage
    return _reviewed(triage, f"a living animal: {name} {score:.3f} > {limit:.3f}")


def _unscored(prediction: Prediction, policy: Policy) -> Triage:
    """Decide on an image that is damaged, or of which something that viewers show has no score."""
    triage = Triage(decision=Decision.UNSCORED)
    if not policy.always_review.failed or prediction.reason in UNREADABLE_REASONS:
        return triage
    extent = "not scored" if prediction.status is Status.FAILED else "scored in part"
    return _reviewed(triage, f"{extent}: {prediction.reason}")


def with_keywords(triage: Triage, policy: Policy, columns: Mapping[str, Any] | None) -> Triage:
    """Raise a decision by one level if the columns of the listing have keywords of the policy."""
    if not (hits := policy.keywords.hits(columns)):
        return triage
    raised = Decision.PRIORITY if triage.decision.is_lead else Decision.REVIEW
    named = ", ".join(f"{hit.keyword!r} in {hit.column!r}" for hit in hits[:_MAX_NAMED])
    more = f" and {len(hits) - _MAX_NAMED} more" if len(hits) > _MAX_NAMED else ""
    change = "" if raised is triage.decision else f"one level up from {triage.decision} for "
    sentence = f"{raised}: {change}keywords: {named}{more}"
    return replace(triage, decision=raised, why=(*triage.why, sentence), keywords=hits)


_MAX_NAMED = 5  # keywords in a sentence; all of them are in the row


def thresholds_of(bundle: Scale, policy: Policy) -> tuple[LeadThresholds, ...]:
    """Return the thresholds of all candidates; without a rule, those for any product.

    A rule for a family compares its labels with the thresholds of the family, which scores no lower
    than any of them: the rate of the rule is that of all that it raises.
    """
    family_of = {
        member: candidate
        for candidate in bundle.candidates
        if candidate.kind is CandidateKind.FAMILY
        for member in candidate.members
    }
    result = []
    for candidate in bundle.candidates:
        left = tuple(member for member in candidate.members if member not in policy.ignore)
        is_label = candidate.kind is CandidateKind.LABEL
        if not left or (not is_label and len(left) < 2):  # a single label speaks for itself
            continue
        ruled = [family_of.get(candidate.name) if is_label else None, candidate]
        review, priority = (_level(key, bundle, policy, ruled) for key in ("review", "priority"))
        priority = max(priority, review, key=attrgetter("value"))
        result.append(LeadThresholds(candidate, left, review, priority))
    return tuple(result)


def _level(
    level: str, bundle: Scale, policy: Policy, ruled: Sequence[Candidate | None]
) -> MeasuredThreshold:
    """Return a threshold as the last rule that names it says, else the policy's."""
    given, thresholds = getattr(policy.default, level), bundle.any_product_thresholds
    for candidate in filter(None, ruled):
        rule = policy.rules.get((candidate.kind, candidate.name))
        if (own := getattr(rule, level, None)) is not None:
            given, thresholds = own, candidate.thresholds
    return _threshold(given, thresholds)


def _leads(
    prediction: Prediction, thresholds: Sequence[LeadThresholds]
) -> Iterator[tuple[Lead, str]]:
    """Yield the leads by scores, each with the sentence for it."""
    for entry in thresholds:
        score = _score(entry, prediction)
        if score > entry.review.value:
            is_priority = score > entry.priority.value
            threshold = entry.priority if is_priority else entry.review
            lead = Lead(
                kind=entry.candidate.kind,
                name=entry.candidate.name,
                score=score,
                threshold=threshold.value,
                false_positive_rate=threshold.false_positive_rate,
                level=Decision.PRIORITY if is_priority else Decision.REVIEW,
            )
            yield lead, _sentence(lead, prediction)


def _score(entry: LeadThresholds, prediction: Prediction) -> float:
    """Return a candidate's score without the products that are ignored."""
    candidate = entry.candidate
    if candidate.kind is CandidateKind.LABEL:
        return prediction.scores[candidate.name]
    if len(entry.members) == len(candidate.members):
        return prediction.families[candidate.name]
    return 1 - math.prod(1 - prediction.scores[member] for member in entry.members)


def _threshold(given: Threshold, thresholds: Mapping[float, float]) -> MeasuredThreshold:
    if isinstance(given, Rate):
        return MeasuredThreshold(thresholds[given.value], given.value)
    return MeasuredThreshold(given.value, None)


def _sentence(lead: Lead, prediction: Prediction) -> str:
    rate = lead.false_positive_rate
    basis = "" if rate is None else f" (false-positive rate {rate:.1%})"
    where = f" in frame {prediction.frame}" if (prediction.frames or 1) > 1 else ""
    if prediction.part:
        left, top, right, bottom = prediction.part
        where += f" in the part from {left},{top} to {right},{bottom}"
    return f"{lead.level}: {lead.title} {lead.score:.3f} > {lead.threshold:.3f}{basis}{where}"


def _known_leads(
    known: Sequence[KnownMatch],
    policy: Policy,
    prediction: Prediction,
    thresholds: Sequence[LeadThresholds],
) -> Iterator[tuple[Lead, str]]:
    """Yield a lead for the nearest image of each label, or of the likeliest product without one."""
    products = (name for entry in thresholds for name in entry.members)
    likeliest = max(products, key=prediction.scores.__getitem__, default="")
    nearest: dict[str, KnownMatch] = {}
    for match in sorted(known, key=lambda match: (match.distance, match.outcome)):
        if match.label not in policy.ignore:
            nearest.setdefault(match.label or likeliest, match)
    for name, match in nearest.items():
        lead = Lead(
            kind=CandidateKind.KNOWN,
            name=name,
            score=1 - match.distance / HASH_BITS,
            threshold=1 - (MAX_DISTANCE + 1) / HASH_BITS,
            false_positive_rate=None,
            level=Decision.REVIEW,
        )
        apart = f"{match.distance} of {HASH_BITS} bits apart"
        yield lead, f"review: {lead.title}: near the image of outcome {match.outcome}, {apart}"
