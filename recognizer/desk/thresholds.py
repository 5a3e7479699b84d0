"""Thresholds for a review team: what each choice finds, and how many leads it makes."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recognizer.desk.measure import MIN_DECIDED, audit_weights
from recognizer.desk.outcomes import Judgement, Outcome
from recognizer.errors import UsageError
from recognizer.intervals import (
    JOINT_CONFIDENCE,
    effective_photos,
    precision_estimate,
    share,
    weighted_count,
)
from recognizer.model.bundle import Bundle
from recognizer.model.description import Estimate
from recognizer.policy.values import Policy, Probability, Rate, Rule
from recognizer.rows.row import Row
from recognizer.taxonomy import Kind, Taxonomy

NO_PRODUCT = ""  # what an image shows that shows no product

MIN_OVER = 5  # images without a product, or decided ones, that must be over a threshold

GRID = tuple(round(1 / (1 + math.exp(-x)), 6) for x in np.arange(9, -4.01, -0.25).tolist())
"""Thresholds to choose from, strictest first, at equal distances in log-odds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The result of a threshold: leads in a day, or in the scan."""

    threshold: float
    leads: Estimate
    recall: Estimate | None
    precision: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Thresholds to choose from, strictest first, with 95 % intervals.

    ``chosen`` is the place of one in ``steps``, or None; ``notes`` say what a reader must know of
    the figures. ``images`` is their number in a day, or in the scan.
    """

    origin: str
    images: float
    steps: tuple[Step, ...]
    chosen: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def step(self) -> Step | None:
        return None if self.chosen is None else self.steps[self.chosen]


# --- labelled photos ------------------------------------------------------------------------------


class LabelledPhoto(NamedTuple):
    """A photo whose label, of ``taxonomy``, is known; photos of one ``source`` are alike."""

    label: str
    source: str
    scores: Mapping[str, float]
    taxonomy: Taxonomy


def measure_labelled(
    bundle: Bundle,
    photos: Sequence[LabelledPhoto],
    *,
    images_per_day: float,
    prevalence: float,
    ignore: Collection[str] = (),
) -> Choice:
    """Measure thresholds on labelled photos; ``ignore`` are the labels that the policy ignores.

    ``prevalence`` is the share of all images that show a product, in the mix of the photos.
    Intervals are exact binomial ones (Clopper and Pearson) for the *effective* number of photos,
    as those of one source are alike (Korn and Graubard, 1998).
    """
    families = _family_members(bundle, ignore)
    named = bundle.any_product_thresholds
    origin = f"{len(photos):,} labelled photos"
    highest = np.array([_highest_score(photo.scores, families) for photo in photos])
    shown = np.array([_family_shown(photo.label, photo.taxonomy) for photo in photos])
    sources = np.array([photo.source for photo in photos])
    positive = shown != NO_PRODUCT
    if positive.all():
        raise UsageError(
            f"{origin}: none without a product, so that nothing says how long the queue will be"
        )
    if not positive.any():
        raise UsageError(f"{origin}: none with a product, so that nothing is known of recall")
    if not 0 < prevalence < 1:
        raise UsageError(f"prevalence = {prevalence}: a share between 0 and 1")
    over = highest > np.array([*named.values()])[:, None]
    sides, numbers, caveats = (~positive, positive), [], [*_unknown(shown, families)]
    for side, what in zip(sides, ("without a product", "of products"), strict=True):
        numbers.append(effective_photos(over[:, side], sources[side], shown[side]))
        if len(set(sources[side])) == 1:
            caveats.append(
                f"All {side.sum():,} photos {what} come from one source: the figures hold for "
                "photos like these, and say nothing of others."
            )

    def measured(threshold: float) -> Step:
        rate, recall = (
            share((highest[side] > threshold).mean() * number, number, JOINT_CONFIDENCE)
            for side, number in zip(sides, numbers, strict=True)
        )
        leads = (
            images_per_day * (prevalence * found + (1 - prevalence) * wrong)
            for found, wrong in zip(astuple(recall), astuple(rate), strict=True)
        )
        precision = precision_estimate(recall, rate, prevalence)
        return Step(threshold=threshold, leads=Estimate(*leads), recall=recall, precision=precision)

    steps = [
        measured(threshold)
        for threshold in sorted({*GRID, *named.values()}, reverse=True)
        if threshold in named.values() or (highest[~positive] > threshold).sum() >= MIN_OVER
    ]
    if none := [name for name in families if name not in shown]:
        caveats.append(f"No labelled photos: {', '.join(none)}. Nothing is known of their recall.")
    return Choice(origin=origin, images=images_per_day, steps=tuple(steps), notes=tuple(caveats))


# --- what reviewers found out ---------------------------------------------------------------------


def measure_reviewed(
    bundle: Bundle,
    rows: Iterable[Row],
    decisions: Mapping[str, Outcome],
    *,
    images_per_day: float | None = None,
    ignore: Collection[str] = (),
) -> Choice:
    """Measure thresholds on a scan: leads are counted, products are known where decided.

    Rows of other models are left out. ``decisions`` are outcomes by the digests of images;
    ``images_per_day`` is by default the number of images of the scan.
    """
    families = _family_members(bundle, ignore)
    drawn, audited = Counter[float](), Counter[float]()
    kept: list[tuple[float, str, bool, str, float | None]] = []
    scanned, floor = 0, 1.0  # the floor: nothing is known of images under it
    for row in rows:
        if row.scores is None or row.model.digest != bundle.digest:
            continue
        scanned += 1
        outcome = decisions.get(row.sha256 or "")
        audit = None if row.is_image_lead else row.audit
        if audit is not None:
            drawn[audit] += 1
            audited[audit] += outcome is not None
        score = _highest_score(row.scores, families)
        weight = (1.0 if row.is_image_lead else audit) if outcome else None
        if weight is not None:
            floor = min([floor, *([score] if audit else [lead.threshold for lead in row.leads])])
        if weight is not None or score > GRID[-1]:
            family = _shown(row, outcome, bundle.taxonomy) if outcome else NO_PRODUCT
            kept.append((score, family, row.is_image_lead, row.sha256 or "", weight))
    if not kept:
        raise UsageError(
            f"no scored row was made by {bundle.title}, or none is near a threshold: name the "
            "--model of the scan"
        )
    scores, shown, lead, digests = map(np.array, zip(*(one[:4] for one in kept), strict=True))
    stands_for = audit_weights(drawn, audited)
    # How many images each stands for: a lead for itself, and none that nobody has decided.
    weights = np.array(
        [1.0 if one[2] and one[4] else stands_for.get(one[4] or 0.0, 0.0) for one in kept]
    )
    decided, positive = weights > 0, shown != NO_PRODUCT
    sample = decided & ~lead
    _, first, copies = np.unique(digests[sample], return_index=True, return_counts=True)
    drawn_as_one = np.zeros(len(kept))  # the first image of the same bytes, with their number
    drawn_as_one[np.flatnonzero(sample)[first]] = copies
    factor = 1.0 if images_per_day is None else images_per_day / scanned

    def count(which: NDArray[np.bool_], among: NDArray[np.bool_]) -> Estimate:
        """Return how many images some stand for; leads were decided one by one."""
        found = Counter(dict.fromkeys(weights[sample & among].tolist(), 0))
        found.update((weights * drawn_as_one)[(drawn_as_one > 0) & among & which].tolist())
        whole, rest = int((decided & lead & among & which).sum()), weighted_count(found)
        return Estimate(whole + rest.value, whole + rest.low, whole + rest.high)

    def measured(threshold: float, over: NDArray[np.bool_]) -> Step:
        found = count(positive, over)
        return Step(
            threshold=threshold,
            leads=Estimate(*[factor * float(over.sum())] * 3),
            recall=_ratio(found, count(positive, ~over)) if (sample & ~over).any() else None,
            precision=_ratio(found, count(~positive, over)),
        )

    def is_supported(threshold: float, over: NDArray[np.bool_]) -> bool:
        leads, clear = over & lead, over & ~lead
        return bool(
            (over & decided).sum() >= MIN_OVER
            and threshold >= floor
            and (leads & decided).sum() >= MIN_DECIDED * leads.sum()
            and ((clear & decided).sum() >= MIN_OVER or clear.sum() <= 0.1 * over.sum())
        )

    limits = sorted({*GRID, *bundle.any_product_thresholds.values()}, reverse=True)
    steps = [measured(one, scores > one) for one in limits if is_supported(one, scores > one)]
    caveats = [*_unknown(shown, families)]
    if not sample.any():
        caveats.append(
            "No audit sample was decided, or a part of it not at all: nothing is known of what was "
            "cleared, so neither recall nor a lower threshold can be estimated (scan --audit-rate)."
        )
    if steps:
        caveats.append(
            "The same outcomes choose and measure the threshold: measure it again on the next scan."
        )
    return Choice(
        origin=f"{scanned:,} images, {int(decided.sum()):,} of them decided",
        images=factor * scanned,
        steps=tuple(steps),
        notes=tuple(caveats),
    )


def _ratio(found: Estimate, other: Estimate) -> Estimate | None:
    """Return the share of what was found among both, with a conservative interval."""
    if not (both := found.value + other.value):
        return None
    if found.low == found.high and other.low == other.high:  # counted one by one
        return share(found.value, both)
    low = found.low / (found.low + other.high) if found.low else 0.0
    high = found.high / (found.high + other.low) if found.high else 0.0
    return Estimate(found.value / both, low, high)


def _shown(row: Row, outcome: Outcome, taxonomy: Taxonomy) -> str:
    """Return the family that a decided image shows: by the reviewer's label, else by its lead."""
    if outcome.judgement is not Judgement.CONFIRMED:
        return NO_PRODUCT
    for label in (outcome.label, *row.lead_labels):
        if label and label in taxonomy.labels and (family := _family_shown(label, taxonomy)):
            return family
    families = row.family or {NO_PRODUCT: 0.0}
    return max(families, key=lambda name: families[name])


# --- both -----------------------------------------------------------------------------------------


def _unknown(shown: NDArray[np.str_], families: Collection[str]) -> Iterator[str]:
    if unknown := sorted({*shown.tolist()} - {*families, NO_PRODUCT}):
        names = ", ".join(unknown)
        yield f"The bundle does not know {names}, or the policy ignores it: found only by mistake."


def _family_members(bundle: Bundle, ignore: Collection[str]) -> dict[str, list[str]]:
    members = {f.name: [m for m in f.members if m not in ignore] for f in bundle.families}
    return {name: labels for name, labels in members.items() if labels}


def _highest_score(scores: Mapping[str, float], families: Mapping[str, Sequence[str]]) -> float:
    """Return the highest probability of any member of a family, from those of labels."""
    return 1 - min(math.prod(1 - scores[one] for one in labels) for labels in families.values())


def _family_shown(label: str, taxonomy: Taxonomy) -> str:
    entry = taxonomy.labels[label]
    return str(entry.family) if entry.kind is Kind.PRODUCT else NO_PRODUCT


# --- choosing -------------------------------------------------------------------------------------


def choose(
    measured: Choice, *, capacity: float | None = None, precision: float | None = None
) -> Choice:
    """Choose the loosest threshold that fits a team, or whose leads are precise enough.

    ``capacity`` is how many leads the team works through in a day, ``precision`` the share of them
    that must show a product, by the lower end of the interval.
    """
    if precision is not None and not 0 < precision < 1:
        raise UsageError(f"precision = {precision}: a share over 0 and under 1, such as 0.5")
    steps = measured.steps
    fitting = [
        place
        for place, step in enumerate(steps)
        if (capacity is None or step.leads.value <= capacity)
        and (precision is None or (step.precision is not None and step.precision.low >= precision))
    ]
    # If none fits a team, it is the strictest, of which the highest scores are reached.
    chosen = max(fitting, default=0 if steps and precision is None else None)
    made = replace(measured, chosen=chosen)
    return replace(made, notes=(*_notes(made, capacity, precision), *measured.notes))


def _notes(choice: Choice, capacity: float | None, precision: float | None) -> Iterator[str]:
    step = choice.step
    if not choice.steps:
        yield "Too few images were decided to say anything of a threshold: review more."
    elif step is None:
        yield (
            f"No threshold is known over which at least {precision:.0%} of the leads show a "
            "product for certain (the lower end of the 95 % interval): review more."
        )
    elif capacity is not None and step.leads.value > capacity:
        yield (
            f"The strictest threshold gives {step.leads.value:,.0f} leads, the team can look at "
            f"{capacity:,.0f}: {capacity / step.leads.value:.0%} of the queue is reached, the "
            "highest scores first."
        )
    elif capacity is not None and step.leads.high > capacity:
        yield f"The queue is expected to fit, but may have up to {step.leads.high:,.0f} leads."
    elif choice.chosen == len(choice.steps) - 1:
        yield "This is the loosest threshold of which enough is known."


def policy_of(choice: Choice, bundle: Bundle, base: Policy, name: str) -> Policy:
    """Return a policy with the chosen threshold in place of the default one of ``base``.

    A threshold that the bundle names is given as a rate, for any bundle; others as probabilities.
    """
    if (step := choice.step) is None:
        return replace(base, name=name)
    rates = {value: rate for rate, value in bundle.any_product_thresholds.items()}

    def level(threshold: float) -> Rate | Probability:
        return Rate(rates[threshold]) if threshold in rates else Probability(threshold)

    strictest = (max(rates), choice.steps[0].threshold)
    priority = next((one for one in strictest if one > step.threshold), step.threshold)
    rule = Rule(review=level(step.threshold), priority=level(priority))
    return replace(base, name=name, default=rule)
