"""A plan for a review team: thresholds, the queue that they make, and what it takes to claim more.

From how many photos come in, how many of them show products, and how many cases the team can work
through, it chooses the loosest thresholds whose queue fits, among those that the evidence supports.
What the evidence is stands in :mod:`recognizer.review.plan.evidence`.

Recall and false-positive rate have intervals of 97.5 % each, so that both hold at once with 95 %;
where several rules are tuned on the same photos, the error is shared out among them.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from recognizer.errors import UsageError
from recognizer.evaluation.metrics import CONFIDENCE
from recognizer.evaluation.prevalence import precision_estimate
from recognizer.model.description import Estimate
from recognizer.review.plan.audits import Audit, plan_audits
from recognizer.review.plan.evidence import (
    ANY_PRODUCT,
    NO_PRODUCT,
    Evidence,
    Level,
    Measured,
    Setting,
    level_of,
)
from recognizer.review.plan.intervals import weighted_mean
from recognizer.review.plan.labelled import MIN_NEGATIVES, MIN_PHOTOS_NAMED

if TYPE_CHECKING:
    from recognizer.model.bundle import Bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What comes in, and who looks at it.

    Attributes:
        photos_per_day: photos scanned a day.
        prevalence: share of them that show a product: of all products together, or product ->
            share.
        reviewers: how many work on a day.
        cases_per_reviewer: leads that one of them works through in a day.
    """

    photos_per_day: int
    prevalence: float | Mapping[str, float]
    reviewers: int
    cases_per_reviewer: int

    @property
    def capacity(self) -> int:
        """Leads that the team works through in a day."""
        return self.reviewers * self.cases_per_reviewer

    def by_product(self, counts: Mapping[str, tuple[int, int]]) -> dict[str, float]:
        """Return product -> share of all photos that show it.

        Args:
            counts: product -> labelled photos and their sources: the mix, where
                :attr:`prevalence` gives none.

        Raises:
            UsageError: a product is not among them, there are no photos to tell the mix, or the
                shares are none.
        """
        if isinstance(self.prevalence, Mapping):
            for name in self.prevalence:
                if name not in counts:
                    close = difflib.get_close_matches(name, list(counts))
                    hint = f"; did you mean {' or '.join(close)}?" if close else ""
                    raise UsageError(f"prevalence of {name}: no such family{hint}")
            found = {name: float(self.prevalence.get(name, 0.0)) for name in counts}
        else:
            photos = sum(n for n, _ in counts.values())
            if not photos:
                raise UsageError(
                    "no labelled photo tells the mix of products: give a prevalence for each"
                )
            found = {name: self.prevalence * n / photos for name, (n, _) in counts.items()}
        if min(found.values()) < 0 or not 0 < sum(found.values()) < 1:
            raise UsageError("prevalence: shares of all photos, together between 0 and 1")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one choice of thresholds gives.

    Attributes:
        levels: rule -> its threshold.
        false_positive_rate: share of the photos without a product that become leads.
        recall: share of the photos of products that become leads, for whatever reason.
        queue: leads a day.
        precision: share of the leads that show a product; None where there would be no lead.
        reviewers: how many the queue takes.
    """

    levels: Setting
    false_positive_rate: Estimate
    recall: Estimate
    queue: Estimate
    precision: Estimate | None
    reviewers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductPlan:
    """What the plan holds for one product.

    Attributes:
        name: a family.
        rule: its own name, or :data:`~recognizer.review.plan.evidence.ANY_PRODUCT`; None for a
            product that the bundle does not know.
        level: its threshold; None for such a product.
        photos: labelled photos of it.
        sources: where these come from.
        prevalence: share of all photos that show it.
        recall: share of its photos over its threshold; None without photos.
        false_positive_rate: share of the photos without a product over its threshold.
        precision: share of it among what is over its threshold, other products aside; None
            without photos or prevalence.
        queue: leads a day that look most like it, whatever they show.
        share_of_time: of the reviewers.
        found: leads a day that show it.
    """

    name: str
    rule: str | None
    level: Level | None
    photos: int
    sources: int
    prevalence: float
    recall: Estimate | None
    false_positive_rate: Estimate | None
    precision: Estimate | None
    queue: float
    share_of_time: float
    found: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Thresholds for a team, and what to expect of them.

    Attributes:
        bundle: title of the bundle.
        digest: of the bundle; thresholds that are probabilities hold for this one alone.
        origin: where the figures come from, in words.
        photos_per_day: scanned a day.
        reviewers: how many work on a day.
        cases_per_reviewer: leads that one of them works through in a day.
        capacity: leads that the team works through in a day.
        prevalence: share of all photos that show a product.
        steps: the choices, strictest first.
        chosen: place in :attr:`steps`.
        products: for each product, the most work first.
        audits: for each of :data:`RECALL_CLAIMS`; empty where nothing is expected to be found.
        notes: what a reader must know of the figures, as sentences.
    """

    bundle: str
    digest: str
    origin: str
    photos_per_day: int
    reviewers: int
    cases_per_reviewer: int
    capacity: int
    prevalence: float
    steps: tuple[Step, ...]
    chosen: int
    products: tuple[ProductPlan, ...]
    audits: tuple[Audit, ...]
    notes: tuple[str, ...]

    @property
    def step(self) -> Step:
        """The chosen one."""
        return self.steps[self.chosen]

    @property
    def is_overloaded(self) -> bool:
        """Whether even the strictest thresholds give more leads than the team can look at."""
        return self.step.queue.value > self.capacity

    def to_json(self) -> str:
        """Return the plan as JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"


def make_plan(
    bundle: Bundle, evidence: Evidence, workload: Workload, *, by_product: bool = True
) -> Plan:
    """Choose the loosest thresholds whose expected queue fits the team.

    Args:
        bundle: whose thresholds they are.
        evidence: what is known of the bundle.
        workload: what comes in, and who looks at it.
        by_product: whether products with enough photos get a rule of their own.

    Raises:
        UsageError: see :meth:`Workload.by_product`.
    """
    prevalence = workload.by_product(evidence.counts)
    settings = evidence.settings(prevalence, by_product=by_product)
    confidence = 1 - (1 - CONFIDENCE) / 2 / len(settings[0])
    measured = [evidence.measure(setting, confidence) for setting in settings]
    steps = tuple(
        _step(setting, found, prevalence, workload)
        for setting, found in zip(settings, measured, strict=True)
    )
    fitting = [i for i, step in enumerate(steps) if step.queue.value <= workload.capacity]
    chosen = max(fitting, default=0)
    step = steps[chosen]
    products = _products(step, measured[chosen], evidence, prevalence, workload, confidence)
    plan = Plan(
        bundle=bundle.title,
        digest=bundle.digest,
        origin=evidence.origin,
        photos_per_day=workload.photos_per_day,
        reviewers=workload.reviewers,
        cases_per_reviewer=workload.cases_per_reviewer,
        capacity=workload.capacity,
        prevalence=sum(prevalence.values()),
        steps=steps,
        chosen=chosen,
        products=products,
        audits=plan_audits(
            step.recall.value, step.false_positive_rate.value, sum(prevalence.values())
        ),
        notes=(),
    )
    mix = not isinstance(workload.prevalence, Mapping)
    notes = (*_notes(plan, evidence, is_mix_assumed=mix), *evidence.caveats())
    return replace(plan, notes=notes)


def _step(
    setting: Setting, found: Measured, prevalence: Mapping[str, float], workload: Workload
) -> Step:
    every = sum(prevalence.values())
    recall = weighted_mean({n: p / every for n, p in prevalence.items() if p}, found.recall)
    rate = found.false_positive_rate

    def leads(rate: float, recall: float) -> float:
        return workload.photos_per_day * ((1 - every) * rate + every * recall)

    queue = Estimate(
        value=leads(rate.value, recall.value),
        low=leads(rate.low, recall.low),
        high=leads(rate.high, recall.high),
    )
    return Step(
        levels=setting,
        false_positive_rate=rate,
        recall=recall,
        queue=queue,
        precision=precision_estimate(recall, rate, every),
        reviewers=math.ceil(queue.value / workload.cases_per_reviewer),
    )


def _products(
    step: Step,
    measured: Measured,
    evidence: Evidence,
    prevalence: Mapping[str, float],
    workload: Workload,
    confidence: float,
) -> tuple[ProductPlan, ...]:
    shown = {NO_PRODUCT: 1 - sum(prevalence.values()), **prevalence}
    found = evidence.by_product(step.levels, confidence)
    plans = []
    for name, (photos, sources) in evidence.counts.items():
        is_known = name in evidence.families
        queue = workload.photos_per_day * sum(
            share * found.looks_like.get(what, {}).get(name, 0.0) for what, share in shown.items()
        )
        recall = found.recall[name] if is_known and photos else None
        rate = found.false_positive_rate[name] if is_known else None
        plans.append(
            ProductPlan(
                name=name,
                rule=(name if name in step.levels else ANY_PRODUCT) if is_known else None,
                level=level_of(step.levels, name) if is_known else None,
                photos=photos,
                sources=sources,
                prevalence=prevalence[name],
                recall=recall,
                false_positive_rate=rate,
                precision=precision_estimate(recall, rate, prevalence[name])
                if recall and rate and prevalence[name]
                else None,
                queue=queue,
                share_of_time=queue / step.queue.value if step.queue.value else 0.0,
                found=workload.photos_per_day * prevalence[name] * measured.recall[name].value,
            )
        )
    return tuple(sorted(plans, key=lambda plan: -plan.queue))


# --- what to say ----------------------------------------------------------------------------------


def _notes(plan: Plan, evidence: Evidence, *, is_mix_assumed: bool) -> Iterator[str]:
    queue, capacity = plan.step.queue, plan.capacity
    if plan.is_overloaded:
        yield (
            f"The strictest thresholds that the evidence supports give {queue.value:,.0f} leads a "
            f"day, the team can look at {capacity:,}: it takes {plan.step.reviewers} reviewers, or "
            f"{capacity / queue.value:.0%} of the queue is reached, the highest scores first."
        )
    elif queue.high > capacity:
        yield (
            f"The queue is expected to fit, but may be up to {queue.high:,.0f} leads a day: "
            "measure it on the first day."
        )
    elif plan.chosen == len(plan.steps) - 1:
        yield "These are the loosest thresholds that the evidence supports; there is time to spare."
    negatives = evidence.negatives[0]
    over = round(plan.step.false_positive_rate.value * negatives)
    if over < MIN_NEGATIVES:
        yield (
            f"{over} of {negatives:,} photos without a product are over these thresholds: too few "
            "to say how long the queue will be."
        )
    none = [p.name for p in plan.products if not p.photos]
    if none:
        yield f"No labelled photos: {', '.join(none)}. Nothing is known of their recall."
    few = [p for p in plan.products if 0 < p.photos < MIN_PHOTOS_NAMED or p.sources == 1]
    if few:
        names = ", ".join(f"{p.name} {p.photos} ({p.sources})" for p in few)
        yield (f"Few photos, or one source: {names}. Their figures are hints.")
    unknown = [p.name for p in plan.products if p.rule is None]
    if unknown:
        yield f"The bundle does not know {', '.join(unknown)}: found only by mistake."
    if is_mix_assumed:
        mix = sorted(plan.products, key=lambda p: -p.prevalence)
        parts = ", ".join(f"{p.name} {p.prevalence / plan.prevalence:.0%}" for p in mix[:4])
        yield (
            f"The mix of products is that of the labelled photos ({parts}); give yours with "
            "--prevalence NAME=SHARE."
        )


# --- the policy -----------------------------------------------------------------------------------
