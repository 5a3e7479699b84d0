"""What the outcomes say of a scan: precision and misses.

Precision is measured on leads that people have decided. What was *not* found is measured on an
audit sample: clear images that were drawn at random with known probabilities
(:mod:`recognizer.rows.audit`), each of which stands for all those like it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from scipy.stats import chi2

from recognizer.evaluation.metrics import CONFIDENCE, share
from recognizer.listing_columns import Role, as_count, value_of
from recognizer.model.description import Estimate
from recognizer.policy import CandidateKind, Decision
from recognizer.review.outcomes import DECIDED, Judgement, Outcome
from recognizer.rows.listings import QUEUE_ORDER
from recognizer.rows.row import Row
from recognizer.taxonomy import load_taxonomy

KEYWORD, REPORTS = "keyword", "reports"
"""What raises a lead besides the model: a keyword in the listing's text, reports by users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How many of the decided leads that were raised by the same were confirmed.

    ``kind`` is ``label`` or ``family``, :data:`KEYWORD` or :data:`REPORTS`, or None for all leads
    of a level. ``as_product`` were confirmed as the product of the lead, or without saying which.
    """

    kind: str | None
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
    misses: Misses | None


_Grounds: TypeAlias = tuple[str | None, str | None, Decision]
_Lead: TypeAlias = tuple[set[_Grounds], Decision, Judgement | None, str | None]


def measure_outcomes(rows: Iterable[tuple[str, Row]], outcomes: Iterable[Outcome]) -> Measurement:
    """Compare the rows of a scan with outcomes that were not withdrawn, in their order.

    Each row comes with the identity of its listing.
    """
    of_images: dict[str, Outcome] = {}
    of_listings: dict[str, Outcome] = {}
    for outcome in outcomes:
        if outcome.sha256 is not None:
            of_images[outcome.sha256] = outcome
        if outcome.listing is not None:
            of_listings[outcome.listing] = outcome
    leads: list[_Lead] = []
    raised: dict[str, tuple[set[_Grounds], Decision]] = {}  # listings, by text or reports alone
    has_image_lead: set[str] = set()
    images = cleared = 0
    drawn, audited, found = Counter[float](), Counter[float](), Counter[float]()
    for images, (name, row) in enumerate(rows, 1):  # noqa: B007 - counted
        last = _decided(of_images.get(row.sha256 or ""))
        if row.is_image_lead:
            has_image_lead.add(name)
            leads.append((_grounds(row), row.decision, *last))
        elif row.is_lead:
            grounds, level = raised.get(name, (set(), row.decision))
            level = min(level, row.decision, key=QUEUE_ORDER.index)
            raised[name] = grounds | _grounds(row), level
        elif row.decision is Decision.CLEAR:
            cleared += 1
            if row.audit is not None:
                drawn[row.audit] += 1
                audited[row.audit] += last[0] is not None
                found[row.audit] += last[0] is Judgement.CONFIRMED
    by_text = raised.keys() - has_image_lead
    leads += [(*raised[name], *_decided(of_listings.get(name))) for name in by_text]
    judgements = Counter(judgement for _, _, judgement, _ in leads)
    confirmed = judgements[Judgement.CONFIRMED]
    return Measurement(
        images=images,
        leads=len(leads),
        decided=confirmed + judgements[Judgement.REJECTED],
        precision=_precision(leads),
        misses=_misses(cleared, drawn, audited, found, confirmed),
    )


def _decided(last: Outcome | None) -> tuple[Judgement | None, str | None]:
    """Return what was decided last, and the label; None if nothing was."""
    if last is None or last.judgement not in DECIDED:
        return None, None
    return last.judgement, last.label


def _grounds(row: Row) -> set[_Grounds]:
    grounds: set[_Grounds] = {(one.kind, one.name, one.level) for one in row.leads}
    grounds |= {(KEYWORD, hit.keyword, row.decision) for hit in row.keywords}
    if as_count(value_of(row.item or {}, Role.REPORTS)):
        grounds.add((REPORTS, None, row.decision))
    return grounds


def _precision(leads: Iterable[_Lead]) -> tuple[Precision, ...]:
    family_of = {name: label.family for name, label in load_taxonomy().labels.items()}
    states: dict[_Grounds, Counter[Judgement | None]] = defaultdict(Counter)
    as_product = Counter[_Grounds]()  # confirmed as the lead's product, or without saying which
    for grounds, level, judgement, label in leads:
        everything: _Grounds = (None, None, level)
        for ground in {everything, *grounds}:
            states[ground][judgement] += 1
        if judgement is Judgement.CONFIRMED:
            names: dict[str | None, str | None] = {
                CandidateKind.LABEL: label,
                CandidateKind.FAMILY: family_of.get(label or ""),
            }
            named = {
                (kind, name, at)
                for kind, name, at in grounds
                if kind in names and (label is None or name == names[kind])
            }
            as_product.update({everything, *named} if named else ())
    order = sorted(
        states, key=lambda one: (one[0] in {KEYWORD, REPORTS}, one[1] or "", one[0] or "", one[2])
    )
    found = []
    for ground in order:
        kind, name, level = ground
        confirmed, rejected = (states[ground][judgement] for judgement in DECIDED)
        decided, of_product = confirmed + rejected, as_product[ground]
        is_model = kind not in {KEYWORD, REPORTS}
        found.append(
            Precision(
                kind=kind,
                name=name,
                level=level,
                confirmed=confirmed,
                as_product=of_product,
                rejected=rejected,
                open=states[ground][None],
                precision=share(confirmed, decided) if decided else None,
                product_precision=share(of_product, decided) if decided and is_model else None,
            )
        )
    return tuple(found)


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
