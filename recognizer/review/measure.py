"""Precision and misses of a scan, by the outcomes on its leads and on its audit sample."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from scipy.stats import chi2

from recognizer.evaluation.metrics import CONFIDENCE, share
from recognizer.model.description import Estimate
from recognizer.policy import CandidateKind, Decision, Lead
from recognizer.review.outcomes import DECIDED, Judgement, Outcome
from recognizer.rows.row import Row
from recognizer.taxonomy import load_taxonomy


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How many of the decided leads of a label or family at a level were confirmed.

    ``kind`` and ``name`` are None for all leads of a level. ``as_product`` were confirmed as the
    product of the lead, or without saying which.
    """

    kind: CandidateKind | None
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
    """What the outcomes say of a scan; ``leads`` are images that are leads by themselves."""

    images: int
    leads: int
    decided: int
    precision: tuple[Precision, ...]
    misses: Misses | None


_Group: TypeAlias = tuple[CandidateKind | None, str | None, Decision]


def measure_outcomes(rows: Iterable[Row], decided: Mapping[str, Outcome]) -> Measurement:
    """Compare the rows of a scan with what was decided on images, by their digests."""
    family_of = {name: label.family for name, label in load_taxonomy().labels.items()}
    groups: dict[_Group, Counter[Judgement | None]] = defaultdict(Counter)
    as_product, judgements = Counter[_Group](), Counter[Judgement | None]()
    drawn, audited, found = Counter[float](), Counter[float](), Counter[float]()
    images = cleared = 0
    for images, row in enumerate(rows, 1):  # noqa: B007 - counted
        outcome = decided.get(row.sha256 or "")
        judgement = None if outcome is None else outcome.judgement
        if row.is_image_lead:
            judgements[judgement] += 1
            everything: _Group = (None, None, row.decision)
            for group in {everything, *map(_group_of, row.leads)}:
                groups[group][judgement] += 1
            if outcome is not None and judgement is Judgement.CONFIRMED:
                label, family = outcome.label, family_of.get(outcome.label or "")
                named = {
                    _group_of(lead)
                    for lead in row.leads
                    if label is None
                    or lead.name == (family if lead.kind is CandidateKind.FAMILY else label)
                }
                as_product.update({everything, *named} if named else ())
        elif row.decision is Decision.CLEAR:
            cleared += 1
            if row.audit is not None:
                drawn[row.audit] += 1
                audited[row.audit] += judgement is not None
                found[row.audit] += judgement is Judgement.CONFIRMED
    confirmed = judgements[Judgement.CONFIRMED]
    return Measurement(
        images=images,
        leads=judgements.total(),
        decided=confirmed + judgements[Judgement.REJECTED],
        precision=tuple(
            _precision(group, groups[group], as_product[group])
            for group in sorted(groups, key=lambda one: (one[1] or "", one[0] or "", one[2]))
        ),
        misses=_misses(cleared, drawn, audited, found, confirmed),
    )


def _group_of(lead: Lead) -> _Group:
    return lead.kind, lead.name, lead.level


def _precision(
    group: _Group, judgements: Mapping[Judgement | None, int], as_product: int
) -> Precision:
    kind, name, level = group
    confirmed, rejected = (judgements[judgement] for judgement in DECIDED)
    decided = confirmed + rejected
    return Precision(
        kind=kind,
        name=name,
        level=level,
        confirmed=confirmed,
        as_product=as_product,
        rejected=rejected,
        open=judgements[None],
        precision=share(confirmed, decided) if decided else None,
        product_precision=share(as_product, decided) if decided else None,
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
    if not (weights := audit_weights(drawn, audited)):
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
    """Return, by the probability of being drawn, for how many clear images a decided one stands."""
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
