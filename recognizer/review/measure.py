"""What the outcomes say of a scan: precision, overturned decisions, agreement, times, and misses.

Precision is measured on leads that people have decided. What was *not* found is measured on an
audit sample: clear images that were drawn at random with known probabilities
(:mod:`recognizer.rows.audit`), each of which stands for all those like it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from statistics import median, quantiles

from scipy.stats import chi2
from sklearn.metrics import cohen_kappa_score

from recognizer.evaluation.metrics import CONFIDENCE, share
from recognizer.model.evidence import Estimate
from recognizer.policy import CandidateKind, Decision
from recognizer.review.outcomes import Judgement, Occasion, Outcome
from recognizer.rows.row import Row
from recognizer.status import Status

MIN_COMMON = 2  # subjects that two reviewers have judged both: fewer say nothing of agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How many of the decided leads of a product were confirmed.

    Attributes:
        kind: whether it is a label or a family; None for all leads of the level together.
        name: of the label or family; None as above.
        level: ``review`` or ``priority``.
        confirmed: decided leads that were confirmed.
        rejected: decided leads that were rejected.
        open: leads without an outcome, or with one that does not decide (unsure, escalated).
        precision: confirmed among the decided; None where none was decided.
    """

    kind: CandidateKind | None
    name: str | None
    level: Decision
    confirmed: int
    rejected: int
    open: int
    precision: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far two reviewers agree on what both have judged.

    Attributes:
        reviewers: their names.
        subjects: images and listings that both have judged.
        same: of these, how many alike.
        kappa: Cohen's kappa (1960): 1 is agreement, 0 is chance; None where both gave one and the
            same answer to everything, so that chance would do as well.
    """

    reviewers: tuple[str, str]
    subjects: int
    same: int
    kappa: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """A time span over several images, in hours: how many, their median, the 90th percentile."""

    count: int
    median: float
    p90: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Misses:
    """What an audit sample says of the images that were cleared.

    Attributes:
        cleared: clear images of the scan.
        drawn: of these, how many are in the audit sample.
        audited: of these, how many somebody has decided.
        found: of these, how many show a product after all.
        rate: estimated share of the clear images that do.
        recall: estimated share of all products that became leads: confirmed leads among them and
            the estimated misses. Leads that nobody has decided yet are left out, so it is an
            estimate for a queue that is worked through.
    """

    cleared: int
    drawn: int
    audited: int
    found: int
    rate: Estimate
    recall: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What the outcomes say of a scan.

    Attributes:
        images: rows of the scan, the last of each item.
        leads: of these, those to review.
        decided: of these, those that were confirmed or rejected.
        precision: by level over all leads, then by product and level.
        appeals: decisions on which an appeal was decided.
        overturned: share of these that were overturned; None without appeals.
        agreement: of each pair of reviewers with :data:`MIN_COMMON` images in common.
        time_to_decision: level -> from the scan to the first outcome.
        waiting: level -> age of the leads without an outcome.
        misses: None without an audited image.
    """

    images: int
    leads: int
    decided: int
    precision: tuple[Precision, ...]
    appeals: int
    overturned: Estimate | None
    agreement: tuple[Agreement, ...]
    time_to_decision: Mapping[Decision, Hours]
    waiting: Mapping[Decision, Hours]
    misses: Misses | None


@dataclass(slots=True)
class _Counts:
    """What is counted while the rows go by."""

    images: int = 0
    leads: int = 0
    cleared: int = 0
    judged: Counter[tuple[CandidateKind | None, str | None, Decision, str]] = field(
        default_factory=Counter
    )
    hours: dict[Decision, list[float]] = field(default_factory=lambda: defaultdict(list))
    waiting: dict[Decision, list[float]] = field(default_factory=lambda: defaultdict(list))
    # Drawn, audited and found images of the audit sample, by the probability of being drawn.
    drawn: Counter[float] = field(default_factory=Counter)
    audited: Counter[float] = field(default_factory=Counter)
    found: Counter[float] = field(default_factory=Counter)


def measure_outcomes(
    rows: Iterable[Row], outcomes: Iterable[Outcome], *, now: datetime
) -> Measurement:
    """Compare the rows of a scan with what people found out.

    Args:
        rows: the last row of each image.
        outcomes: all outcomes, in the order in which they were added.
        now: the time up to which leads have been waiting, with its time zone.
    """
    histories: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        histories[outcome.subject].append(outcome)
    histories = {subject: _in_force(history) for subject, history in histories.items()}
    counts = _Counts()
    for row in rows:
        _count(row, histories.get(row.sha256 or "", []), counts, now)
    judged = counts.judged
    decided = [(key, n) for key, n in judged.items() if key[0] is None]
    appeals = [history for history in histories.values() if _appealed(history)]
    overturned = sum(history[-1].judgement is Judgement.REJECTED for history in appeals)
    confirmed = sum(n for key, n in decided if key[3] == Judgement.CONFIRMED)
    return Measurement(
        images=counts.images,
        leads=counts.leads,
        decided=sum(n for key, n in decided if key[3] in _DECIDED),
        precision=_precision(judged),
        appeals=len(appeals),
        overturned=share(overturned, len(appeals)) if appeals else None,
        agreement=_agreement(histories),
        time_to_decision={level: _hours(values) for level, values in counts.hours.items()},
        waiting={level: _hours(values) for level, values in counts.waiting.items()},
        misses=_misses(counts, confirmed),
    )


_DECIDED = (Judgement.CONFIRMED, Judgement.REJECTED)


def _in_force(history: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes of a subject that were not withdrawn, the latest last."""
    withdrawn = {outcome.withdraws for outcome in history if outcome.withdraws is not None}
    kept = [o for o in history if o.occasion is not Occasion.WITHDRAWAL and o.id not in withdrawn]
    return sorted(kept, key=lambda outcome: outcome.time)


def _count(row: Row, history: Sequence[Outcome], counts: _Counts, now: datetime) -> None:
    counts.images += 1
    last = history[-1].judgement if history else None
    if row.is_lead:
        counts.leads += 1
        state = last if last in _DECIDED else "open"
        counts.judged[None, None, row.decision, str(state)] += 1
        for lead in row.leads:
            counts.judged[lead.kind, lead.name, lead.level, str(state)] += 1
        if history:
            hours = (history[0].time - row.time).total_seconds() / 3600
            counts.hours[row.decision].append(max(0.0, hours))
        else:
            counts.waiting[row.decision].append((now - row.time).total_seconds() / 3600)
    elif row.decision is Decision.CLEAR and row.status is not Status.FAILED:
        counts.cleared += 1
        if row.audit is not None:
            counts.drawn[row.audit] += 1
            counts.audited[row.audit] += last in _DECIDED
            counts.found[row.audit] += last is Judgement.CONFIRMED


def _precision(
    judged: Counter[tuple[CandidateKind | None, str | None, Decision, str]],
) -> tuple[Precision, ...]:
    keys = dict.fromkeys(key[:3] for key in judged)
    found = []
    for kind, name, level in sorted(keys, key=lambda key: (key[1] or "", key[0] or "", key[2])):
        confirmed, rejected, open_ = (
            judged[kind, name, level, state]
            for state in (Judgement.CONFIRMED.value, Judgement.REJECTED.value, "open")
        )
        decided = confirmed + rejected
        found.append(
            Precision(
                kind=kind,
                name=name,
                level=level,
                confirmed=confirmed,
                rejected=rejected,
                open=open_,
                precision=share(confirmed, decided) if decided else None,
            )
        )
    return tuple(found)


def _appealed(history: Sequence[Outcome]) -> bool:
    """Whether a confirmed lead was appealed against, and the appeal decided."""
    return (
        len(history) > 1
        and history[-1].occasion is Occasion.APPEAL
        and history[-1].judgement in _DECIDED
        and any(outcome.judgement is Judgement.CONFIRMED for outcome in history[:-1])
    )


def _agreement(histories: Mapping[str, Sequence[Outcome]]) -> tuple[Agreement, ...]:
    pairs: dict[tuple[str, str], list[tuple[Judgement, Judgement]]] = defaultdict(list)
    for history in histories.values():
        # What each said last; an appeal is decided in the knowledge of what was said before.
        own = {o.reviewer: o.judgement for o in history if o.occasion is not Occasion.APPEAL}
        for first, second in combinations(sorted(own), 2):
            pairs[first, second].append((own[first], own[second]))
    found = []
    for reviewers, judgements in sorted(pairs.items()):
        if len(judgements) < MIN_COMMON:
            continue
        ones, others = zip(*judgements, strict=True)
        is_constant = len({*ones, *others}) == 1
        found.append(
            Agreement(
                reviewers=reviewers,
                subjects=len(judgements),
                same=sum(a is b for a, b in judgements),
                kappa=None if is_constant else float(cohen_kappa_score(ones, others)),
            )
        )
    return tuple(found)


def _hours(values: Sequence[float]) -> Hours:
    p90 = quantiles(values, n=10, method="inclusive")[-1] if len(values) > 1 else values[0]
    return Hours(count=len(values), median=median(values), p90=p90)


def _misses(counts: _Counts, confirmed: int) -> Misses | None:
    audited = sum(counts.audited.values())
    if not audited:
        return None
    # Each decided image stands for 1/p images, and for those drawn like it that are still open.
    weights = {
        probability: counts.drawn[probability] / number / probability
        for probability, number in counts.audited.items()
        if number
    }
    missed = weighted_count({weights[p]: n for p, n in counts.found.items() if p in weights})
    high = max(missed.high, max(weights.values()) * _upper_of_none())
    missed = Estimate(missed.value, missed.low, min(high, counts.cleared))

    def to_share(of: Callable[[float], float]) -> Estimate:
        low, high = sorted((of(missed.low), of(missed.high)))
        return Estimate(of(missed.value), low, high)

    return Misses(
        cleared=counts.cleared,
        drawn=sum(counts.drawn.values()),
        audited=audited,
        found=sum(counts.found.values()),
        rate=to_share(lambda n: n / counts.cleared),
        recall=to_share(lambda n: confirmed / (confirmed + n)) if confirmed else None,
    )


def _upper_of_none(confidence: float = CONFIDENCE) -> float:
    """Return the upper bound of a Poisson mean of which nothing was seen."""
    return float(chi2.ppf((1 + confidence) / 2, 2) / 2)


def weighted_count(found: Mapping[float, int], confidence: float = CONFIDENCE) -> Estimate:
    """Return a sum of weighted Poisson counts with its interval (Fay and Feuer, 1997).

    Args:
        found: weight -> how many things of this weight were seen.
        confidence: of the interval, which covers at least this often.
    """
    seen = {weight: count for weight, count in found.items() if count}
    if not seen:
        return Estimate(0.0, 0.0, 0.0)
    value = sum(weight * count for weight, count in seen.items())
    variance = sum(weight**2 * count for weight, count in seen.items())
    tail = (1 - confidence) / 2
    largest = max(found)
    low = variance / (2 * value) * chi2.ppf(tail, 2 * value**2 / variance)
    value_up, variance_up = value + largest, variance + largest**2
    high = variance_up / (2 * value_up) * chi2.ppf(1 - tail, 2 * value_up**2 / variance_up)
    return Estimate(float(value), float(low), float(high))
