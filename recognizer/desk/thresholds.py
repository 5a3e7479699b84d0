"""Thresholds for a review team: what each choice finds, and how many leads it makes."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recognizer.desk.measure import MIN_DECIDED, Stratum, audit_of, audit_weights
from recognizer.desk.outcomes import Judgement, Outcome
from recognizer.errors import UsageError
from recognizer.intervals import share, weighted_count
from recognizer.model.bundle import Bundle
from recognizer.model.description import Estimate
from recognizer.policy.values import Policy, Probability, Rule
from recognizer.rows.row import Row

MIN_OVER = 5  # decided images that must be over a threshold

GRID = tuple(round(1 / (1 + math.exp(-x)), 6) for x in np.arange(9, -4.01, -0.25).tolist())
"""Thresholds to choose from, strictest first, at equal distances in log-odds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The result of a threshold: distinct images over it in a day, or in the scan."""

    threshold: float
    leads: float
    recall: Estimate | None
    precision: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Thresholds to choose from, strictest first, with 95 % intervals.

    ``chosen`` is the position of one in ``steps``, or None; ``notes`` are caveats of the figures.
    ``images`` is the number of distinct images in a day, or in the scan.
    """

    origin: str
    images: float
    steps: tuple[Step, ...]
    chosen: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def step(self) -> Step | None:
        return None if self.chosen is None else self.steps[self.chosen]


def measure_reviewed(
    bundle: Bundle,
    images: Iterable[Sequence[Row]],
    decisions: Mapping[str, Outcome],
    *,
    images_per_day: float | None = None,
    ignore: Collection[str] = (),
) -> Choice:
    """Measure thresholds on a scan: leads are counted, products are known where decided.

    ``images`` are the rows of each distinct image; those of other models are left out.
    ``decisions`` are outcomes by the digests of images. ``images_per_day`` is by default the number
    of distinct images of the scan; ``ignore`` are the labels that the policy ignores.
    """
    families = [[m for m in family.members if m not in ignore] for family in bundle.families]
    drawn, audited = Counter[Stratum](), Counter[Stratum]()
    kept: list[tuple[float, bool, bool, bool, Stratum]] = []
    scanned, floor = 0, 1.0  # the floor: nothing is known of images under it
    for same in images:
        rows = [row for row in same if row.scores and row.model.digest == bundle.digest]
        if not rows:
            continue
        scanned += 1
        leads = [lead for row in rows for lead in row.leads]
        outcome = decisions.get(rows[0].sha256 or "")
        if (stratum := audit_of(same, outcome) or (0.0, False))[0]:
            drawn[stratum] += 1
            audited[stratum] += outcome is not None
        of_image = rows[0].scores or {}  # the highest probability of any family counts
        score = 1 - min(math.prod(1 - of_image[name] for name in names) for names in families)
        is_known = outcome is not None and bool(leads or stratum[0])
        if is_known:
            floor = min([floor, *([lead.threshold for lead in leads] or [score])])
        if is_known or score > GRID[-1]:
            is_shown = bool(outcome and outcome.judgement is Judgement.CONFIRMED)
            kept.append((score, is_shown, bool(leads), is_known, stratum))
    if not kept:
        words = f"no scored row was made by {bundle.title}, or none is near a threshold"
        raise UsageError(f"{words}: name the --model of the scan")
    scores, positive, lead = map(np.array, zip(*(one[:3] for one in kept), strict=True))
    stands_for = audit_weights(drawn, audited)
    # How many images each stands for: a lead for itself, and none that nobody has decided.
    weights = np.array(
        [is_known * (is_lead or stands_for.get(of, 0.0)) for *_, is_lead, is_known, of in kept]
    )
    decided = weights > 0
    sample = decided & ~lead
    factor = 1.0 if images_per_day is None else images_per_day / scanned

    def count(which: NDArray[np.bool_], among: NDArray[np.bool_]) -> Estimate:
        """Return how many images some stand for; leads were decided one by one."""
        of_weight = Counter(dict.fromkeys(weights[sample & among].tolist(), 0))
        of_weight.update(weights[sample & among & which].tolist())
        whole, rest = int((decided & lead & among & which).sum()), weighted_count(of_weight)
        return Estimate(whole + rest.value, whole + rest.low, whole + rest.high)

    def measured(threshold: float, over: NDArray[np.bool_]) -> Step:
        found = count(positive, over)
        return Step(
            threshold=threshold,
            leads=factor * float(over.sum()),
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

    steps = [
        measured(threshold, over)
        for threshold in GRID
        if is_supported(threshold, over := scores > threshold)
    ]
    caveats = []
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
        origin=f"{scanned:,} distinct images, {int(decided.sum()):,} of them decided",
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
        position
        for position, step in enumerate(steps)
        if (capacity is None or step.leads <= capacity)
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
    elif capacity is not None and step.leads > capacity:
        words = f"{capacity / step.leads:.0%} of the queue, the highest scores first"
        leads = f"The strictest threshold gives {step.leads:,.0f} leads"
        yield f"{leads}, the team can look at {capacity:,.0f}: {words}."


def policy_of(step: Step, base: Policy, name: str) -> Policy:
    """Return a policy with the threshold of a step for review, and all else as in ``base``."""
    review, priority = Probability(step.threshold), base.default.priority
    if isinstance(priority, Probability) and priority.value < review.value:
        priority = review
    return replace(base, name=name, default=Rule(review=review, priority=priority))
