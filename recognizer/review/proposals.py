"""Thresholds proposed from outcomes: the lowest ones whose leads are precise enough.

People decide on what became a lead, so outcomes alone say what a *higher* threshold would do. What
a lower one would add lies among the images that were cleared, of which nobody has seen more than
the audit sample: its images were drawn with known probabilities, and each stands for those like
it. A threshold is proposed where the lower end of the 95 % interval of its precision reaches the
target, and nothing is proposed where the outcomes do not decide.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial

from recognizer.decision import LeadThresholds, limits_of
from recognizer.errors import UsageError
from recognizer.evaluation.metrics import share
from recognizer.model.bundle import Bundle
from recognizer.model.description import Estimate
from recognizer.policy import CandidateKind, Decision, Policy, Probability, Rule
from recognizer.review.measure import DECIDED, audit_weights
from recognizer.review.outcomes import Judgement
from recognizer.review.weighted import weighted_count
from recognizer.rows.row import Row

MIN_DECIDED = 0.9
"""Share of the leads over a threshold that must be decided before anything is said of it: reviewers
begin with the highest scores, so that the decided ones do not stand for the others."""


_STEP = 2e-6  # of scores, which have six digits in a row


class Advice(StrEnum):
    """What the outcomes say of a threshold."""

    RAISE = "raise"
    """Its leads are not precise enough; over the proposed one they are."""
    LOWER = "lower"
    """The audit sample shows that a lower one is precise enough, too."""
    KEEP = "keep"
    """Its leads are precise enough."""
    UNCERTAIN = "uncertain"
    """The target lies within the interval: there are too few outcomes."""
    UNREACHED = "unreached"
    """Its leads are not precise enough, and over no other threshold are they for certain."""
    OPEN = "open"
    """Too few of its leads are decided."""
    OWN_RULES = "own rules"
    """The policy has thresholds for single products of the family, which stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What a threshold on a family's probability does to the scan.

    Attributes:
        threshold: images over it are leads.
        leads: how many images that are; an estimate where the audit sample says so.
        confirmed: how many of them show a product, of the decided ones and those they stand for.
        precision: share of the decided leads that were confirmed; None where none was decided.
    """

    threshold: float
    leads: Estimate
    confirmed: Estimate
    precision: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What the outcomes say of the threshold of a family of products.

    Attributes:
        family: its name.
        advice: what to do.
        now: the threshold of the policy.
        then: the proposed one; None where there is none.
        decided: leads that were confirmed or rejected.
        audited: images of the audit sample that were.
    """

    family: str
    advice: Advice
    now: Point
    then: Point | None
    decided: int
    audited: int


@dataclass(slots=True, kw_only=True)
class _Image:
    """An image: its score, whether it was confirmed (None: open), for how many it stands."""

    score: float
    confirmed: bool | None
    weight: float = 1.0


@dataclass(slots=True, kw_only=True)
class _Family:
    """A family with its limits, leads and audited images."""

    name: str
    members: Sequence[str]
    limits: Sequence[LeadThresholds]
    has_own_rules: bool
    leads: list[_Image] = field(default_factory=list)
    audited: list[_Image] = field(default_factory=list)

    @property
    def threshold(self) -> float:
        """Over which its probability makes a lead."""
        return self.limits[0].review[0]

    def score(self, scores: Mapping[str, float]) -> float:
        """Return the probability that one of its members is shown, from those of labels."""
        return 1 - math.prod(1 - scores[member] for member in self.members)


def propose_thresholds(
    rows: Iterable[Row],
    judgements: Mapping[str, Judgement],
    policy: Policy,
    bundle: Bundle,
    *,
    precision: float,
) -> list[Proposal]:
    """Return what outcomes say of the threshold of each family of products that has leads.

    Args:
        rows: the last row of each image of a scan.
        judgements: digest of an image -> what stands of it.
        policy: that of the rows.
        bundle: the model behind the rows; rows of other models or policies are left out.
        precision: share of the leads that is to be confirmed, over 0 and under 1.

    Raises:
        UsageError: the precision makes no sense, or no row is of this model and policy.
    """
    if not 0 < precision < 1:
        raise UsageError(f"precision = {precision}: a share over 0 and under 1, such as 0.5")
    families = _families(bundle, policy)
    if not _read(rows, judgements, families, (bundle.digest, policy.digest)):
        raise UsageError(
            f"no scored row was made by {bundle.title} and decided by {policy.name!r}: name the "
            "--bundle and the --policy of the scan, or decide again first (recognizer decide)"
        )
    return [_propose(one, precision) for one in families if one.leads or one.audited]


def with_proposals(policy: Policy, proposals: Iterable[Proposal], bundle: Bundle) -> Policy:
    """Return a policy with the proposed thresholds for review; those for priority stay."""
    families = {one.name: one for one in _families(bundle, policy)}
    rules = dict(policy.rules)
    for one in proposals:
        if one.then is not None:
            priority = min(1.0, families[one.family].limits[0].priority[0])
            threshold = one.then.threshold
            rules[CandidateKind.FAMILY, one.family] = Rule(
                review=Probability(threshold), priority=Probability(max(threshold, priority))
            )
    return replace(policy, rules=rules)


def _families(bundle: Bundle, policy: Policy) -> list[_Family]:
    """Return the families that may have leads; one of a single product has its label's limits."""
    limits = limits_of(bundle.candidates, bundle.any_product_thresholds, policy)
    by_name = {(one.candidate.kind, one.candidate.name): one for one in limits}
    found = []
    for family in bundle.families:
        members = [one for m in family.members if (one := by_name.get((CandidateKind.LABEL, m)))]
        whole = by_name.get((CandidateKind.FAMILY, family.name))
        if members:
            found.append(
                _Family(
                    name=family.name,
                    members=[one.candidate.name for one in members],
                    limits=[*([whole] if whole else []), *members],
                    has_own_rules=any(
                        (CandidateKind.LABEL, one.candidate.name) in policy.rules for one in members
                    ),
                )
            )
    return found


def _read(
    rows: Iterable[Row],
    judgements: Mapping[str, Judgement],
    families: Sequence[_Family],
    made_by: tuple[str, str],
) -> bool:
    """Sort the images of a scan into the families; return whether there were any."""
    drawn, audited = Counter[float](), Counter[float]()
    cleared: list[tuple[_Family, _Image, float]] = []
    has_rows = False
    for row in rows:
        if row.scores is None or (row.model.digest, row.policy.digest) != made_by:
            continue
        has_rows = True
        judgement = judgements.get(row.sha256 or "")
        confirmed = None if judgement not in DECIDED else judgement is Judgement.CONFIRMED
        if row.decision is Decision.CLEAR and row.audit is not None:
            drawn[row.audit] += 1
            audited[row.audit] += confirmed is not None
            if confirmed is not None:
                for family in families:
                    image = _Image(score=family.score(row.scores), confirmed=confirmed)
                    cleared.append((family, image, row.audit))
        elif row.is_image_lead:
            names = {lead.name for lead in row.leads}
            for family in families:
                if names & {family.name, *family.members}:
                    score = family.score(row.scores)
                    family.leads.append(_Image(score=score, confirmed=confirmed))
    weights = audit_weights(drawn, audited)
    for family, image, probability in cleared:
        image.weight = weights[probability]
        family.audited.append(image)
    return has_rows


def _propose(family: _Family, target: float) -> Proposal:
    leads = sorted(family.leads, key=lambda one: -one.score)
    audited = sorted(family.audited, key=lambda one: -one.score)
    decided = [one for one in leads if one.confirmed is not None]
    now = _point(family.threshold, leads)
    make = partial(
        Proposal, family=family.name, now=now, decided=len(decided), audited=len(audited)
    )
    if family.has_own_rules:
        return make(advice=Advice.OWN_RULES, then=None)
    worked = _worked_through(leads)
    if now.precision is None or not worked:
        return make(advice=Advice.OPEN, then=None)
    is_whole = worked == len(leads)
    if now.precision.value < target:
        # Over the score of the next lower lead, so that exactly the ones before it are left.
        higher = [_point(one.score, leads) for one in leads[1:worked] if one.score > now.threshold]
        then = _lowest(higher, target)
        return make(advice=Advice.RAISE if then else Advice.UNREACHED, then=then)
    if not is_whole:
        return make(advice=Advice.OPEN, then=None)
    if now.precision.low < target:
        return make(advice=Advice.UNCERTAIN, then=None)
    # Just below an image that was seen: of what lies further down, nothing is known.
    below = [one.score - _STEP for one in audited if one.score < now.threshold]
    lower = [_point(threshold, [*leads, *audited]) for threshold in below]
    then = _lowest(lower, target)
    return make(advice=Advice.LOWER if then else Advice.KEEP, then=then)


def _worked_through(leads: Sequence[_Image]) -> int:
    """Return how many of the highest leads are decided, but for a few among them."""
    decided = found = 0
    for number, lead in enumerate(leads, 1):
        decided += lead.confirmed is not None
        if decided >= MIN_DECIDED * number:
            found = number
    return found


def _lowest(points: Iterable[Point], target: float) -> Point | None:
    good = [one for one in points if one.precision is not None and one.precision.low >= target]
    return min(good, key=lambda one: one.threshold, default=None)


def _point(threshold: float, images: Sequence[_Image]) -> Point:
    over = [one for one in images if one.score > threshold]
    confirmed = [one for one in over if one.confirmed]
    rejected = [one for one in over if one.confirmed is False]
    return Point(
        # Rounded upwards: otherwise the image with this score would be over it.
        threshold=math.ceil(1e6 * threshold) / 1e6,
        leads=_count(over, over),
        confirmed=_count(confirmed, over),
        precision=_precision(confirmed, rejected),
    )


def _count(images: Sequence[_Image], among: Sequence[_Image]) -> Estimate:
    """Return how many images some stand for; what was decided one by one is known for certain."""
    whole = sum(one.weight == 1 for one in images)
    weights = {one.weight: 0 for one in among if one.weight != 1}
    found = weighted_count(weights | Counter(one.weight for one in images if one.weight != 1))
    return Estimate(whole + found.value, whole + found.low, whole + found.high)


def _precision(confirmed: Sequence[_Image], rejected: Sequence[_Image]) -> Estimate | None:
    """Return the share of the confirmed; with weights, the interval is a conservative one."""
    decided = [*confirmed, *rejected]
    if not decided:
        return None
    if all(one.weight == 1 for one in decided):
        return share(len(confirmed), len(decided))
    weights = {one.weight: 0 for one in decided}
    good, bad = (
        weighted_count(weights | Counter(one.weight for one in images))
        for images in (confirmed, rejected)
    )
    return Estimate(
        good.value / (good.value + bad.value),
        good.low / (good.low + bad.high),
        good.high / (good.high + bad.low),
    )
