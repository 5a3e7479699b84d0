"""What the outcomes say of a scan: precision, overturned decisions, and misses.

Precision is measured on leads that people have decided. What was *not* found is measured on an
audit sample: clear images that were drawn at random with known probabilities
(:mod:`recognizer.rows.audit`), each of which stands for all those like it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from scipy.stats import chi2

from recognizer.evaluation.metrics import CONFIDENCE, share
from recognizer.listing_columns import Role, as_count, value_of
from recognizer.model.description import Estimate
from recognizer.policy import Decision
from recognizer.review.outcomes import DECIDED, Judgement, Occasion, Outcome
from recognizer.rows.listings import QUEUE_ORDER
from recognizer.rows.row import Row
from recognizer.status import Status
from recognizer.taxonomy import load_taxonomy


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
    counts decided ones.
    """

    images: int
    leads: int
    decided: int
    precision: tuple[Precision, ...]
    appeals: int
    overturned: Estimate | None
    misses: Misses | None


_Grounds: TypeAlias = tuple[Grounds | None, str | None, Decision]
_AS_PRODUCT = "as product"  # beside the judgements, for what was confirmed as the lead's product


class _Lead(NamedTuple):
    """An image, or a listing that text or reports alone have raised, and what was said of it."""

    level: Decision
    grounds: frozenset[_Grounds]
    history: Sequence[Outcome] = ()

    @property
    def last(self) -> Outcome | None:
        return self.history[-1] if self.history else None


def measure_outcomes(rows: Iterable[tuple[str, Row]], outcomes: Iterable[Outcome]) -> Measurement:
    """Compare the rows of a scan with outcomes that were not withdrawn, in their order.

    Each row comes with the identity of its listing.
    """
    histories: dict[str, list[Outcome]] = defaultdict(list)
    of_listings: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        histories[outcome.subject].append(outcome)
        if outcome.listing is not None:
            of_listings[outcome.listing].append(outcome)
    leads: list[_Lead] = []
    raised: dict[str, _Lead] = {}  # listings of which images are raised by text or reports alone
    has_image_lead: set[str] = set()
    sample = _Sample()
    images = 0
    for images, (name, row) in enumerate(rows, 1):  # noqa: B007 - counted
        history = histories.get(row.sha256 or "", [])
        if row.is_lead:
            lead = _Lead(row.decision, _grounds(row), history)
            if row.is_image_lead:
                has_image_lead.add(name)
                leads.append(lead)
            else:
                raised[name] = _together(raised.get(name), lead)
        elif row.decision is Decision.CLEAR and row.status is not Status.FAILED:
            sample.add(row.audit, history)
    leads += [
        raised[name]._replace(history=of_listings[name]) for name in raised.keys() - has_image_lead
    ]
    appeals = [history for history in histories.values() if _appealed(history)]
    overturned = sum(history[-1].judgement is Judgement.REJECTED for history in appeals)
    decided = [one for lead in leads if (one := lead.last) and one.judgement in DECIDED]
    confirmed = sum(one.judgement is Judgement.CONFIRMED for one in decided)
    return Measurement(
        images=images,
        leads=len(leads),
        decided=len(decided),
        precision=_precision(_judged(leads)),
        appeals=len(appeals),
        overturned=share(overturned, len(appeals)) if appeals else None,
        misses=sample.misses(confirmed),
    )


def _grounds(row: Row) -> frozenset[_Grounds]:
    grounds: set[_Grounds] = {(Grounds(one.kind), one.name, one.level) for one in row.leads}
    grounds |= {(Grounds.KEYWORD, hit.keyword, row.decision) for hit in row.keywords}
    if as_count(value_of(row.item or {}, Role.REPORTS)):
        grounds.add((Grounds.REPORTS, None, row.decision))
    return frozenset(grounds)


def _together(lead: _Lead | None, other: _Lead) -> _Lead:
    """Return two images of a listing as one lead."""
    if lead is None:
        return other
    level = min(lead.level, other.level, key=QUEUE_ORDER.index)
    return _Lead(level, lead.grounds | other.grounds)


def _judged(leads: Sequence[_Lead]) -> Counter[tuple[_Grounds, str]]:
    """Count leads by what raised them and what was said last, ``open`` if that decides nothing."""
    family_of = {name: label.family for name, label in load_taxonomy().labels.items()}

    def is_named(ground: _Grounds, label: str | None) -> bool:
        """Whether a reviewer confirmed the product that raised a lead, or did not say which."""
        kind, name, _ = ground
        if kind is Grounds.LABEL:
            return label in {None, name}
        return kind is Grounds.FAMILY and (label is None or family_of.get(label) == name)

    counts: Counter[tuple[_Grounds, str]] = Counter()
    for lead in leads:
        everything: _Grounds = (None, None, lead.level)
        last = lead.last
        state = str(last.judgement) if last and last.judgement in DECIDED else "open"
        counts.update((ground, state) for ground in {everything, *lead.grounds})
        if last is not None and last.judgement is Judgement.CONFIRMED:
            named = {ground for ground in lead.grounds if is_named(ground, last.label)}
            counts.update((ground, _AS_PRODUCT) for ground in named)
            counts[everything, _AS_PRODUCT] += bool(named)
    return counts


def _precision(judged: Counter[tuple[_Grounds, str]]) -> tuple[Precision, ...]:
    by_text = {Grounds.KEYWORD, Grounds.REPORTS}
    found = []
    for ground in sorted(
        {ground for ground, _ in judged},
        key=lambda one: (one[0] in by_text, one[1] or "", one[0] or "", one[2]),
    ):
        kind, name, level = ground
        states = (*DECIDED, "open", _AS_PRODUCT)
        confirmed, rejected, open_, as_product = (judged[ground, str(state)] for state in states)
        decided = confirmed + rejected
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
                product_precision=share(as_product, decided)
                if decided and kind not in by_text
                else None,
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


@dataclass(slots=True)
class _Sample:
    """Clear images; drawn, audited and found ones by the probability of being drawn."""

    cleared: int = 0
    drawn: Counter[float] = field(default_factory=Counter)
    audited: Counter[float] = field(default_factory=Counter)
    found: Counter[float] = field(default_factory=Counter)

    def add(self, probability: float | None, history: Sequence[Outcome]) -> None:
        self.cleared += 1
        if probability is not None:
            last = history[-1].judgement if history else None
            self.drawn[probability] += 1
            self.audited[probability] += last in DECIDED
            self.found[probability] += last is Judgement.CONFIRMED

    def misses(self, confirmed: int) -> Misses | None:
        audited = self.audited.total()
        if not audited:
            return None
        weights = audit_weights(self.drawn, self.audited)
        missed = weighted_count({weights[p]: n for p, n in self.found.items() if p in weights})
        missed = Estimate(missed.value, missed.low, min(missed.high, self.cleared))

        def to_share(of: Callable[[float], float]) -> Estimate:
            low, high = sorted((of(missed.low), of(missed.high)))
            return Estimate(of(missed.value), low, high)

        return Misses(
            cleared=self.cleared,
            drawn=self.drawn.total(),
            audited=audited,
            found=self.found.total(),
            rate=to_share(lambda n: n / self.cleared),
            recall=to_share(lambda n: confirmed / (confirmed + n)) if confirmed else None,
        )
