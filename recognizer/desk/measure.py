"""Precision, appeals and misses of a scan, by the outcomes on its leads and audit sample."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from recognizer.desk.outcomes import DECIDED, Judgement, Outcome, Outcomes
from recognizer.desk.views import LEFT
from recognizer.intervals import share, weighted_count
from recognizer.model.description import Estimate
from recognizer.policy.listing import Role, as_count, value_of
from recognizer.policy.values import Decision
from recognizer.rows.listings import QUEUE_ORDER
from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile
from recognizer.status import Reason
from recognizer.taxonomy import load_taxonomy

MIN_DECIDED = 0.9
"""Share of the leads that must be decided before recall is estimated, or a threshold measured:
reviewers begin with the highest scores, so that decided leads do not stand for the others."""

KEYWORD, REPORTS = "keyword", "reports"
"""The kinds of leads that no model raises: a keyword in the listing's text, reports by users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How many of the decided leads of a level that were raised by the same were confirmed.

    ``kind`` is ``label`` or ``family``, :data:`KEYWORD` or :data:`REPORTS`, or None for all leads.
    ``as_product`` were confirmed as the product of the lead, or without saying which.
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

    ``leads`` are images that are leads by themselves, and listings that keywords or reports alone
    have raised, each once; ``drawn`` is the audit sample, ``left`` is of :func:`count_left`.
    """

    images: int
    leads: int
    decided: int
    drawn: int
    precision: tuple[Precision, ...]
    appeals: int
    overturned: Estimate | None
    misses: Misses | None
    left: int = 0


_Group: TypeAlias = tuple[str | None, str | None, Decision]
_Lead: TypeAlias = tuple[set[_Group], Decision, Outcome | None]


def measure_outcomes(rows: Iterable[tuple[str, Row]], outcomes: Outcomes) -> Measurement:
    """Compare rows, each with the identity of its listing, with what was decided."""
    decided, listings = outcomes.decided(), outcomes.decided("listing")
    appeals, overturned = outcomes.appeals()
    leads: list[_Lead] = []
    raised: dict[str, tuple[set[_Group], Decision]] = {}  # listings, by keywords or reports
    with_image_lead: set[str] = set()
    drawn, audited, found = Counter[float](), Counter[float](), Counter[tuple[float, str]]()
    images = cleared = 0
    for name, row in rows:
        images += row.reason is not Reason.NO_IMAGE
        outcome = decided.get(row.sha256 or "")
        if row.is_image_lead:
            with_image_lead.add(name)
            leads.append((_groups_of(row), row.decision, outcome))
        elif row.is_lead:
            groups, level = raised.get(name, (set(), row.decision))
            level = min(level, row.decision, key=QUEUE_ORDER.index)
            raised[name] = groups | _groups_of(row), level
        elif row.decision is Decision.CLEAR:
            cleared += 1
            if row.audit is not None:
                drawn[row.audit] += 1
                audited[row.audit] += outcome is not None
                if outcome is not None and outcome.judgement is Judgement.CONFIRMED:
                    found[row.audit, outcome.sha256 or ""] += 1
    leads += [(*raised[name], listings.get(name)) for name in raised.keys() - with_image_lead]
    judgements = Counter((level, said.judgement if said else None) for _, level, said in leads)
    return Measurement(
        images=images,
        leads=len(leads),
        decided=sum(number for (_, said), number in judgements.items() if said in DECIDED),
        drawn=int(drawn.total()),
        precision=tuple(_precision(leads)),
        appeals=appeals,
        overturned=share(overturned, appeals) if appeals else None,
        misses=_misses(cleared, drawn, audited, found, _shown_by_leads(judgements)),
    )


def count_left(scan: ScanFile) -> int:
    """Return how many leads nobody has decided though their listings are, and left the queue."""
    statement = "SELECT count(*) FROM image JOIN queue USING (unit) WHERE state IN (?, ?)"
    return int(scan.select(f"{statement} AND {LEFT}", DECIDED)[0][0])


def _groups_of(row: Row) -> set[_Group]:
    groups: set[_Group] = {(lead.kind, lead.name, lead.level) for lead in row.leads}
    groups |= {(KEYWORD, hit.keyword, row.decision) for hit in row.keywords}
    if as_count(value_of(row.item or {}, Role.REPORTS)):
        groups.add((REPORTS, None, row.decision))
    return groups


def _precision(leads: Iterable[_Lead]) -> Iterator[Precision]:
    family_of = {name: label.family for name, label in load_taxonomy().labels.items()}
    counts: dict[_Group, Counter[Judgement | None]] = defaultdict(Counter)
    as_product, of_products = Counter[_Group](), Counter[_Group]()  # decided leads
    by_text = {KEYWORD, REPORTS}
    for groups, level, outcome in leads:
        everything: _Group = (None, None, level)
        names_product = outcome is not None and any(kind not in by_text for kind, *_ in groups)
        for group in {everything, *groups}:
            counts[group][outcome.judgement if outcome else None] += 1
            of_products[group] += names_product and group[0] not in by_text
        if outcome is not None and outcome.judgement is Judgement.CONFIRMED:
            label = outcome.label
            names = {"label": label, "family": family_of.get(label or "")}
            named = {
                (kind, name, at)
                for kind, name, at in groups
                if kind in names and (label is None or name == names[kind])
            }
            as_product.update({everything, *named} if named else ())
    for group in sorted(
        counts, key=lambda one: (one[0] in by_text, one[1] or "", one[0] or "", one[2])
    ):
        kind, name, level = group
        confirmed, rejected = (counts[group][judgement] for judgement in DECIDED)
        decided, of_product = confirmed + rejected, of_products[group]
        yield Precision(
            kind=kind,
            name=name,
            level=level,
            confirmed=confirmed,
            as_product=as_product[group],
            rejected=rejected,
            open=counts[group][None],
            precision=share(confirmed, decided) if decided else None,
            product_precision=share(as_product[group], of_product) if of_product else None,
        )


# --- misses ---------------------------------------------------------------------------------------


def _misses(
    cleared: int,
    drawn: Counter[float],
    audited: Counter[float],
    found: Counter[tuple[float, str]],
    shown: Estimate | None,
) -> Misses | None:
    """Estimate misses by the probability of being drawn; of the same bytes they are one draw."""
    if not (weights := audit_weights(drawn, audited)):
        return None
    counts = Counter(dict.fromkeys(weights.values(), 0))
    counts.update(weights[probability] * images for (probability, _), images in found.items())
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
    counts = {level: [judgements.get((level, one), 0) for one in DECIDED] for level in levels}
    leads, decided = sum(judgements.values()), sum(map(sum, counts.values()))
    if decided < MIN_DECIDED * leads:
        return None
    confirmed = sum(confirmed for confirmed, _ in counts.values())
    expected = 0.0
    for level, (own, rejected) in counts.items():
        of_level = sum(n for (at, _), n in judgements.items() if at == level)
        expected += of_level * (own / (own + rejected) if own + rejected else confirmed / decided)
    return Estimate(expected, confirmed, confirmed + leads - decided)


def audit_weights(drawn: Mapping[float, int], audited: Mapping[float, int]) -> dict[float, float]:
    """Return, by probability, for how many clear images a decided one stands; of all or none."""
    return {p: n / audited[p] / p for p, n in drawn.items()} if all(audited.values()) else {}
