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
from enum import StrEnum
from itertools import combinations
from statistics import median, quantiles
from typing import TypeAlias

from scipy.stats import chi2
from sklearn.metrics import cohen_kappa_score

from recognizer.evaluation.metrics import CONFIDENCE, share
from recognizer.listing_columns import Role, as_count, listing_of, value_of
from recognizer.model.description import Estimate
from recognizer.policy import Decision
from recognizer.review.outcomes import Judgement, Occasion, Outcome
from recognizer.rows.listings import QUEUE_ORDER
from recognizer.rows.records import as_name
from recognizer.rows.row import Row
from recognizer.status import Status
from recognizer.taxonomy import load_taxonomy

MIN_COMMON = 2  # subjects that two reviewers have judged both: fewer say nothing of agreement


class Grounds(StrEnum):
    """What raised a lead: a product of the model, or what the policy adds."""

    LABEL = "label"
    FAMILY = "family"
    KEYWORD = "keyword"
    """A keyword of the policy in the text of the listing."""
    REPORTS = "reports"
    """At least one report by a user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How many of the decided leads with the same grounds were confirmed.

    ``kind`` and ``name`` are those of the grounds; both are None for all leads of a level together.
    ``confirmed`` counts whatever product was confirmed; ``as_product`` those confirmed as the
    product of the lead, or without saying which. ``open``: without an outcome, or with one that
    does not decide (unsure, escalated).
    """

    kind: Grounds | None
    name: str | None
    level: Decision
    confirmed: int
    as_product: int
    rejected: int
    open: int
    precision: Estimate | None
    product_precision: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far two reviewers agree on the images and listings that both have judged.

    ``kappa`` is Cohen's (1960): 1 is agreement, 0 is chance, and None if both gave the same answer
    to everything, so that chance would do as well.
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

    ``drawn`` of them are in the sample, ``audited`` of these were decided, and ``found`` of these
    show a product after all; ``rate`` is the estimated share of all cleared images that do.
    ``recall`` leaves out leads that nobody has decided yet: it is an estimate for a queue that is
    worked through.
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

    ``leads`` are images that are leads by themselves, and listings that keywords or reports alone
    have raised, each once. ``precision`` has levels as a whole first, then products. ``appeals``
    counts decided ones. ``waiting`` is the age of leads without an outcome.
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


_Key: TypeAlias = tuple[Grounds | None, str | None]
_AS_PRODUCT = "as product"  # beside the judgements, for what was confirmed as the lead's product


@dataclass(slots=True, kw_only=True)
class _Lead:
    """An image, or a listing that text or reports alone have raised."""

    level: Decision
    time: datetime
    grounds: set[tuple[_Key, Decision]] = field(default_factory=set)


@dataclass(slots=True)
class _Counts:
    family_of: Mapping[str, str | None]
    images: int = 0
    leads: int = 0
    cleared: int = 0
    judged: Counter[tuple[_Key, Decision, str]] = field(default_factory=Counter)
    hours: dict[Decision, list[float]] = field(default_factory=lambda: defaultdict(list))
    waiting: dict[Decision, list[float]] = field(default_factory=lambda: defaultdict(list))
    # Drawn, audited and found images of the audit sample, by the probability of being drawn.
    drawn: Counter[float] = field(default_factory=Counter)
    audited: Counter[float] = field(default_factory=Counter)
    found: Counter[float] = field(default_factory=Counter)

    def add(self, lead: _Lead, history: Sequence[Outcome], now: datetime) -> None:
        last = history[-1].judgement if history else None
        state = str(last) if last in DECIDED else "open"
        self.leads += 1
        everything = ((None, None), lead.level)
        named = {one for one in lead.grounds if history and self._is_named(one[0], history[-1])}
        for key, level in {everything, *lead.grounds}:
            self.judged[key, level, state] += 1
        if last is Judgement.CONFIRMED and named:
            for key, level in {everything, *named}:
                self.judged[key, level, _AS_PRODUCT] += 1
        if history:
            hours = (history[0].time - lead.time).total_seconds() / 3600
            self.hours[lead.level].append(max(0.0, hours))
        else:
            self.waiting[lead.level].append((now - lead.time).total_seconds() / 3600)

    def _is_named(self, key: _Key, outcome: Outcome) -> bool:
        """Whether a reviewer has confirmed the product that raised a lead, or did not say which."""
        kind, name = key
        label = outcome.label
        if kind not in {Grounds.LABEL, Grounds.FAMILY}:
            return False
        return label is None or name == (
            label if kind is Grounds.LABEL else self.family_of.get(label)
        )


def measure_outcomes(
    rows: Iterable[Row], outcomes: Iterable[Outcome], *, now: datetime
) -> Measurement:
    """Compare the rows of a scan with all outcomes, in the order of their arrival.

    ``now`` is the time up to which leads have been waiting.
    """
    histories: dict[str, list[Outcome]] = defaultdict(list)
    of_listings: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        histories[outcome.subject].append(outcome)
        if outcome.listing is not None:
            of_listings[outcome.listing].append(outcome)
    histories = {subject: in_force(history) for subject, history in histories.items()}
    counts = _Counts({name: label.family for name, label in load_taxonomy().labels.items()})
    raised: dict[str, _Lead] = {}  # listings of which images are raised by text or reports alone
    has_image_lead: set[str] = set()
    for row in rows:
        counts.images += 1
        if row.is_lead:
            name = as_name(listing_of(row.item) or row.source)
            lead = _lead(row)
            if row.is_image_lead:
                has_image_lead.add(name)
                counts.add(lead, histories.get(row.sha256 or "", []), now)
            else:
                raised[name] = _together(raised.get(name), lead)
        elif row.decision is Decision.CLEAR and row.status is not Status.FAILED:
            _count_cleared(row, histories.get(row.sha256 or "", []), counts)
    for name in raised.keys() - has_image_lead:
        counts.add(raised[name], in_force(of_listings[name]), now)
    appeals = [history for history in histories.values() if _appealed(history)]
    overturned = sum(history[-1].judgement is Judgement.REJECTED for history in appeals)
    decided = Counter[str]()
    for (key, _, state), count in counts.judged.items():
        decided[state] += count * (key == (None, None))
    return Measurement(
        images=counts.images,
        leads=counts.leads,
        decided=sum(decided[state] for state in DECIDED),
        precision=_precision(counts.judged),
        appeals=len(appeals),
        overturned=share(overturned, len(appeals)) if appeals else None,
        agreement=_agreement(histories),
        time_to_decision={level: _hours(values) for level, values in counts.hours.items()},
        waiting={level: _hours(values) for level, values in counts.waiting.items()},
        misses=_misses(counts, decided[Judgement.CONFIRMED]),
    )


DECIDED = (Judgement.CONFIRMED, Judgement.REJECTED)
"""The judgements that decide."""


def in_force(history: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes of a subject that were not withdrawn, in the order of their arrival."""
    withdrawn = {outcome.withdraws for outcome in history if outcome.withdraws is not None}
    return [o for o in history if o.occasion is not Occasion.WITHDRAWAL and o.id not in withdrawn]


def _lead(row: Row) -> _Lead:
    grounds: set[tuple[_Key, Decision]] = {
        ((Grounds(lead.kind), lead.name), lead.level) for lead in row.leads
    }
    grounds |= {((Grounds.KEYWORD, hit.keyword), row.decision) for hit in row.keywords}
    if as_count(value_of(row.item or {}, Role.REPORTS)):
        grounds.add(((Grounds.REPORTS, None), row.decision))
    return _Lead(level=row.decision, time=row.time, grounds=grounds)


def _together(lead: _Lead | None, other: _Lead) -> _Lead:
    """Return two images of a listing as one lead."""
    if lead is None:
        return other
    return _Lead(
        level=min(lead.level, other.level, key=QUEUE_ORDER.index),
        time=min(lead.time, other.time),
        grounds=lead.grounds | other.grounds,
    )


def _count_cleared(row: Row, history: Sequence[Outcome], counts: _Counts) -> None:
    counts.cleared += 1
    if row.audit is not None:
        last = history[-1].judgement if history else None
        counts.drawn[row.audit] += 1
        counts.audited[row.audit] += last in DECIDED
        counts.found[row.audit] += last is Judgement.CONFIRMED


def _precision(judged: Counter[tuple[_Key, Decision, str]]) -> tuple[Precision, ...]:
    places = [None, *Grounds]
    keys = dict.fromkeys(key[:2] for key in judged)
    found = []
    for (kind, name), level in sorted(
        keys,
        key=lambda key: (places.index(key[0][0]) > 2, key[0][1] or "", key[0][0] or "", key[1]),
    ):
        confirmed, rejected, open_ = (
            judged[(kind, name), level, state]
            for state in (Judgement.CONFIRMED.value, Judgement.REJECTED.value, "open")
        )
        decided = confirmed + rejected
        as_product = judged[(kind, name), level, _AS_PRODUCT]
        names_product = kind in {None, Grounds.LABEL, Grounds.FAMILY}
        found.append(
            Precision(
                kind=kind,
                name=name,
                level=level,
                confirmed=confirmed,
                as_product=as_product,
                rejected=rejected,
                open=open_,
                precision=share(confirmed, decided) if decided else None,
                product_precision=share(as_product, decided) if decided and names_product else None,
            )
        )
    return tuple(found)


def _appealed(history: Sequence[Outcome]) -> bool:
    """Whether a confirmed lead was appealed against, and the appeal decided."""
    return (
        len(history) > 1
        and history[-1].occasion is Occasion.APPEAL
        and history[-1].judgement in DECIDED
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


def audit_weights(drawn: Mapping[float, int], audited: Mapping[float, int]) -> dict[float, float]:
    """Return, by the probability of being drawn, for how many clear images a decided one stands.

    For 1 / probability images, and for those that were drawn like it and are still open.
    """
    return {p: drawn[p] / number / p for p, number in audited.items() if number}


def weighted_count(found: Mapping[float, int]) -> Estimate:
    """Return a sum of weighted Poisson counts with its interval (Fay and Feuer, 1997).

    ``found`` is weight -> how many things of this weight were seen, 0 if some were looked for and
    none was seen. Of the largest weight at least as many as the Poisson bound of none may have been
    missed. The interval covers at least as often as :data:`CONFIDENCE` says.
    """
    if not found:
        return Estimate(0.0, 0.0, 0.0)
    largest, tail = max(found), (1 - CONFIDENCE) / 2
    of_none = largest * float(chi2.ppf(1 - tail, 2) / 2)
    value = sum(weight * count for weight, count in found.items())
    if not value:
        return Estimate(0.0, 0.0, of_none)
    variance = sum(weight**2 * count for weight, count in found.items())
    low = variance / (2 * value) * chi2.ppf(tail, 2 * value**2 / variance)
    value_up, variance_up = value + largest, variance + largest**2
    high = variance_up / (2 * value_up) * chi2.ppf(1 - tail, 2 * value_up**2 / variance_up)
    return Estimate(float(value), float(low), max(float(high), of_none))


def _misses(counts: _Counts, confirmed: int) -> Misses | None:
    audited = sum(counts.audited.values())
    if not audited:
        return None
    weights = audit_weights(counts.drawn, counts.audited)
    missed = weighted_count({weights[p]: n for p, n in counts.found.items() if p in weights})
    missed = Estimate(missed.value, missed.low, min(missed.high, counts.cleared))

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
