"""What the outcomes say of a scan: precision, overturned decisions, and misses.

Precision is measured on leads that people have decided. What was *not* found is measured on an
audit sample: clear images that were drawn at random with known probabilities
(:mod:`recognizer.rows.audit`), each of which stands for all those like it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from scipy.stats import chi2

from recognizer.evaluation.metrics import CONFIDENCE, share
from recognizer.listing_columns import Role, as_count, value_of
from recognizer.model.description import Estimate
from recognizer.policy import Decision
from recognizer.review.outcomes import DECIDED, Judgement, Occasion, Outcome
from recognizer.rows.listings import QUEUE_ORDER
from recognizer.rows.row import Row
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

    ``kind`` and ``name`` are None for all leads of a level together. ``as_product`` were confirmed
    as the product of the lead, or without saying which; ``open`` ones are not decided.
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
    show a product after all. ``recall`` leaves out leads that nobody has decided yet.
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
    have raised, each once.
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
_BY_TEXT = {Grounds.KEYWORD, Grounds.REPORTS}


def measure_outcomes(rows: Iterable[tuple[str, Row]], outcomes: Iterable[Outcome]) -> Measurement:
    """Compare the rows of a scan with outcomes that were not withdrawn, in their order.

    Each row comes with the identity of its listing.
    """
    histories: dict[str, list[Outcome]] = defaultdict(list)
    of_listings: dict[str, Outcome] = {}
    for outcome in outcomes:
        histories[outcome.sha256 or f"listing:{outcome.listing}"].append(outcome)
        if outcome.listing is not None:
            of_listings[outcome.listing] = outcome
    leads: list[tuple[set[_Grounds], Decision, Outcome | None]] = []
    raised: dict[str, tuple[set[_Grounds], Decision]] = {}  # listings, by text or reports alone
    has_image_lead: set[str] = set()
    images = cleared = 0
    drawn, audited, found = Counter[float](), Counter[float](), Counter[float]()
    for images, (name, row) in enumerate(rows, 1):  # noqa: B007 - counted
        history = histories.get(row.sha256 or "")
        last = history[-1] if history else None
        if row.is_image_lead:
            has_image_lead.add(name)
            leads.append((_grounds(row), row.decision, last))
        elif row.is_lead:
            grounds, level = raised.get(name, (set(), row.decision))
            level = min(level, row.decision, key=QUEUE_ORDER.index)
            raised[name] = grounds | _grounds(row), level
        elif row.decision is Decision.CLEAR:
            cleared += 1
            if row.audit is not None:
                drawn[row.audit] += 1
                audited[row.audit] += last is not None and last.judgement in DECIDED
                found[row.audit] += last is not None and last.judgement is Judgement.CONFIRMED
    leads += [(*raised[name], of_listings.get(name)) for name in raised.keys() - has_image_lead]
    appeals = [history[-1] for history in histories.values() if _is_appealed(history)]
    overturned = sum(appeal.judgement is Judgement.REJECTED for appeal in appeals)
    decided = [last for *_, last in leads if last is not None and last.judgement in DECIDED]
    confirmed = sum(last.judgement is Judgement.CONFIRMED for last in decided)
    return Measurement(
        images=images,
        leads=len(leads),
        decided=len(decided),
        precision=_precision(leads),
        appeals=len(appeals),
        overturned=share(overturned, len(appeals)) if appeals else None,
        misses=_misses(cleared, drawn, audited, found, confirmed),
    )


def _grounds(row: Row) -> set[_Grounds]:
    grounds: set[_Grounds] = {(Grounds(one.kind), one.name, one.level) for one in row.leads}
    grounds |= {(Grounds.KEYWORD, hit.keyword, row.decision) for hit in row.keywords}
    if as_count(value_of(row.item or {}, Role.REPORTS)):
        grounds.add((Grounds.REPORTS, None, row.decision))
    return grounds


def _is_appealed(history: Sequence[Outcome]) -> bool:
    """Whether a confirmed lead was appealed against, and the appeal decided."""
    *before, last = history
    return (
        last.occasion is Occasion.APPEAL
        and last.judgement in DECIDED
        and any(outcome.judgement is Judgement.CONFIRMED for outcome in before)
    )


def _precision(
    leads: Iterable[tuple[set[_Grounds], Decision, Outcome | None]],
) -> tuple[Precision, ...]:
    family_of = {name: label.family for name, label in load_taxonomy().labels.items()}

    def is_named(ground: _Grounds, label: str | None) -> bool:
        """Whether a reviewer confirmed the product that raised a lead, or did not say which."""
        kind, name, _ = ground
        if kind is Grounds.LABEL:
            return label in {None, name}
        return kind is Grounds.FAMILY and (label is None or family_of.get(label) == name)

    counts: dict[_Grounds, Counter[str]] = defaultdict(Counter)
    for grounds, level, last in leads:
        everything: _Grounds = (None, None, level)
        state = str(last.judgement) if last and last.judgement in DECIDED else "open"
        for ground in {everything, *grounds}:
            counts[ground][state] += 1
        if last is not None and last.judgement is Judgement.CONFIRMED:
            named = {ground for ground in grounds if is_named(ground, last.label)}
            for ground in {everything, *named} if named else ():
                counts[ground][_AS_PRODUCT] += 1
    return tuple(
        _precision_of(ground, counts[ground])
        for ground in sorted(
            counts, key=lambda one: (one[0] in _BY_TEXT, one[1] or "", one[0] or "", one[2])
        )
    )


def _precision_of(ground: _Grounds, count: Counter[str]) -> Precision:
    kind, name, level = ground
    confirmed, rejected = (count[str(judgement)] for judgement in DECIDED)
    decided, as_product = confirmed + rejected, count[_AS_PRODUCT]
    return Precision(
        kind=kind,
        name=name,
        level=level,
        confirmed=confirmed,
        as_product=as_product,
        rejected=rejected,
        open=count["open"],
        precision=share(confirmed, decided) if decided else None,
        product_precision=share(as_product, decided) if decided and kind not in _BY_TEXT else None,
    )


# --- misses ---------------------------------------------------------------------------------------


def _misses(
    cleared: int,
    drawn: Counter[float],
    audited: Counter[float],
    found: Counter[float],
    confirmed: int,
) -> Misses | None:
    """Estimate misses from clear images, counted by the probability with which they were drawn."""
    weights = audit_weights(drawn, audited)
    if not weights:
        return None
    counts = Counter[float]()
    for probability, weight in weights.items():
        counts[weight] += found[probability]
    missed = weighted_count(counts)
    value, low, high = missed.value, missed.low, min(missed.high, cleared)
    return Misses(
        cleared=cleared,
        drawn=drawn.total(),
        audited=audited.total(),
        found=found.total(),
        rate=Estimate(value / cleared, low / cleared, high / cleared),
        recall=Estimate(*(confirmed / (confirmed + n) for n in (value, high, low)))
        if confirmed
        else None,
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
