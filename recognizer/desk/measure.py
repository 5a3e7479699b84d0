"""Precision and misses of a scan, by the outcomes on its leads and audit sample.

Distinct images are counted: rows of the same bytes, in any number of listings, are one image.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

from recognizer.desk.outcomes import DECIDED, Judgement, Occasion, Outcome, Outcomes
from recognizer.intervals import share, weighted_count
from recognizer.model.description import Estimate
from recognizer.policy.values import QUEUE_ORDER, CandidateKind, Decision
from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile
from recognizer.status import Reason
from recognizer.taxonomy import Taxonomy

MIN_DECIDED = 0.9
"""Share of the leads that must be decided before recall is estimated, or a threshold measured:
reviewers begin with the highest scores, so that decided leads do not stand for the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How many of the decided leads of a level, and of a label or family, were confirmed.

    ``kind`` and ``name`` are None for all leads. ``as_product`` were confirmed as the product of
    the lead.
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
    """Estimates of an audit sample for the images that were cleared.

    ``drawn`` of them are in the sample, ``audited`` of these were decided, ``found`` of these show
    a product. ``recall`` needs :data:`MIN_DECIDED` of the leads, and allows any verdict on others.
    """

    cleared: int
    drawn: int
    audited: int
    found: int
    rate: Estimate
    recall: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The figures of a scan by its outcomes.

    ``images`` and ``leads`` are distinct images; ``drawn`` of the clear ones are in the audit
    sample. ``known`` ones, raised by known items alone, are neither leads of the model nor clear.
    ``unknown_labels`` of confirmed leads are in no taxonomy, so that their families are unknown.
    """

    images: int
    leads: int
    decided: int
    drawn: int
    known: int
    precision: tuple[Precision, ...]
    misses: Misses | None
    unknown_labels: tuple[str, ...] = ()


_Group: TypeAlias = tuple[CandidateKind | None, str | None, Decision]
Stratum: TypeAlias = tuple[float, bool]  # the probability of being drawn; whether it was picked
_Counts: TypeAlias = Counter[Stratum]
_Lead: TypeAlias = tuple[set[_Group], Decision, Outcome | None]


def distinct_images(scan: ScanFile) -> Iterator[list[Row]]:
    """Yield the rows of each distinct image, by its bytes; a row without bytes is alone."""
    rows = (row for _, row in scan.numbered_rows(order="sha256, image.id"))
    for _, same in groupby(rows, key=lambda row: row.sha256 or object()):
        yield [*same]


def measure_outcomes(
    images: Iterable[Sequence[Row]], outcomes: Outcomes, taxonomies: Sequence[Taxonomy]
) -> Measurement:
    """Compare the rows of distinct images with their outcomes.

    ``taxonomies`` say of which family a confirmed label is.
    """
    decided = outcomes.decided()
    family_of = {name: label.family for of in taxonomies for name, label in of.labels.items()}
    leads, near = list[_Lead](), list[_Lead]()
    drawn, audited, found = _Counts(), _Counts(), _Counts()
    count = cleared = 0
    for rows in images:
        count += rows[0].reason is not Reason.NO_IMAGE
        outcome = decided.get(rows[0].sha256 or "")
        if (groups := _groups_of(rows)) and all(kind is CandidateKind.KNOWN for kind, *_ in groups):
            near.append((groups, Decision.REVIEW, outcome))
        elif groups:
            level = min((level for *_, level in groups), key=QUEUE_ORDER.index)
            leads.append((groups, level, outcome))
        elif (stratum := audit_of(rows, outcome)) is not None:
            cleared += 1
            if stratum[0]:
                drawn[stratum] += 1
                audited[stratum] += outcome is not None
                found[stratum] += bool(outcome and outcome.judgement is Judgement.CONFIRMED)
    judgements = Counter((level, said.judgement if said else None) for _, level, said in leads)
    labels = {said.label for *_, said in leads if said and said.judgement is Judgement.CONFIRMED}
    return Measurement(
        images=count,
        leads=len(leads),
        decided=sum(number for (_, judged), number in judgements.items() if judged in DECIDED),
        drawn=drawn.total(),
        known=len(near),
        precision=tuple(_precision([*leads, *near], family_of)),
        misses=_misses(cleared, drawn, audited, found, _shown_by_leads(judgements)),
        unknown_labels=tuple(sorted(label for label in labels if label and label not in family_of)),
    )


def audit_of(rows: Sequence[Row], outcome: Outcome | None) -> Stratum | None:
    """Return the stratum of an image in the audit; None if any of its listings raises it.

    Images that were decided on another occasion than an audit stand for no others of the sample.
    """
    if any(row.decision is not Decision.CLEAR for row in rows):
        return None
    is_picked = outcome is not None and outcome.occasion is not Occasion.AUDIT
    return max(row.audit or 0.0 for row in rows), is_picked


def _groups_of(rows: Iterable[Row]) -> set[_Group]:
    """Return the leads of an image, each with the highest level among its listings."""
    levels: dict[tuple[CandidateKind, str], set[Decision]] = defaultdict(set)
    for lead in (lead for row in rows for lead in row.leads):
        levels[lead.kind, lead.name].add(lead.level)
    return {(*lead, min(found, key=QUEUE_ORDER.index)) for lead, found in levels.items()}


def _precision(leads: Iterable[_Lead], family_of: Mapping[str, str | None]) -> Iterator[Precision]:
    counts: dict[_Group, Counter[Judgement | None]] = defaultdict(Counter)
    as_product = Counter[_Group]()
    for groups, level, outcome in leads:
        everything: _Group = (None, None, level)
        is_known = all(kind is CandidateKind.KNOWN for kind, *_ in groups)
        for group in groups if is_known else {everything, *groups}:
            counts[group][outcome.judgement if outcome else None] += 1
        if outcome is not None and outcome.judgement is Judgement.CONFIRMED:
            label = outcome.label
            names = {"label": label, "family": family_of.get(label or "")}
            named = {g for g in groups if label and g[1] == names.get(str(g[0]))}
            as_product.update({everything, *named} if named else ())
    for group in sorted(counts, key=lambda key: (key[1] or "", key[0] or "", key[2])):
        kind, name, level = group
        confirmed, rejected = (counts[group][judgement] for judgement in DECIDED)
        decided = confirmed + rejected
        yield Precision(
            kind=kind,
            name=name,
            level=level,
            confirmed=confirmed,
            as_product=as_product[group],
            rejected=rejected,
            open=counts[group][None],
            precision=share(confirmed, decided) if decided else None,
            product_precision=share(as_product[group], decided) if decided else None,
        )


def _misses(
    cleared: int, drawn: _Counts, audited: _Counts, found: _Counts, shown: Estimate | None
) -> Misses | None:
    """Estimate misses by the strata of the sample."""
    if not (weights := audit_weights(drawn, audited)):
        return None
    counts = Counter(dict.fromkeys(weights.values(), 0))
    for stratum, number in found.items():
        counts[weights[stratum]] += number
    missed = weighted_count(counts)
    value, low, high = missed.value, missed.low, min(missed.high, cleared)
    return Misses(
        cleared=cleared,
        drawn=drawn.total(),
        audited=audited.total(),
        found=found.total(),
        rate=Estimate(value / cleared, low / cleared, high / cleared),
        recall=Estimate(
            shown.value / (shown.value + value),
            shown.low / (shown.low + high),
            shown.high / (shown.high + low),
        )
        if shown and shown.value + value
        else None,
    )


def _shown_by_leads(judgements: Mapping[tuple[Decision, Judgement | None], int]) -> Estimate | None:
    """Estimate how many leads show a product, with open ones all rejected, or all confirmed."""
    levels = {level for level, _ in judgements}
    counts = {level: [judgements.get((level, judged), 0) for judged in DECIDED] for level in levels}
    leads, decided = sum(judgements.values()), sum(map(sum, counts.values()))
    if decided < MIN_DECIDED * leads:
        return None
    confirmed = sum(confirmed for confirmed, _ in counts.values())
    expected = 0.0
    for level, (own, rejected) in counts.items():
        of_level = sum(n for (at, _), n in judgements.items() if at == level)
        expected += of_level * (own / (own + rejected) if own + rejected else confirmed / decided)
    return Estimate(expected, confirmed, confirmed + leads - decided)


def audit_weights(drawn: _Counts, audited: _Counts) -> dict[Stratum, float]:
    """Return, by stratum, for how many clear images a decided one stands; of all or none."""
    return {s: n / audited[s] / s[0] for s, n in drawn.items()} if all(audited.values()) else {}
