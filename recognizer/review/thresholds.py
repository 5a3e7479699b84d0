"""Thresholds for a review team: what each choice finds, and how many leads it makes.

There are two grounds for it. :class:`LabelledPhotos` with their scores tell recall and
false-positive rate; with a prevalence, that is leads a day. :class:`ReviewedScan` is what people
found out about a scan: of leads they decide on what is there, and only the audit sample, clear
images drawn with known probabilities, tells what a lower threshold would add and what was missed.
Of both, the threshold is chosen whose leads a team can work through, or of which enough show a
product. It is one for all products: on the highest score of an image.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from recognizer.errors import UsageError
from recognizer.evaluation.metrics import CONFIDENCE, Clustering, share
from recognizer.evaluation.prevalence import negatives_without_error
from recognizer.model.bundle import Bundle
from recognizer.model.description import Estimate
from recognizer.policy import Policy, Probability, Rate, Rule
from recognizer.review.measure import audit_weights, weighted_count
from recognizer.review.outcomes import DECIDED, Judgement, Outcome
from recognizer.rows.row import Row
from recognizer.taxonomy import Kind, Taxonomy

NO_PRODUCT = ""
"""What an image shows that shows no product."""

MIN_OVER = 5
"""Images without a product (labelled) or decided ones (reviewed) that must be over a threshold."""

MIN_DECIDED = 0.9
"""Share of the leads over a threshold that must be decided before anything is said of it: reviewers
begin with the highest scores, so that the decided ones do not stand for the others."""

GRID = tuple(float(x) for x in np.round(expit(np.arange(-4, 9.01, 0.25)), 6)[::-1])
"""Thresholds to choose from, strictest first, at equal distances in log-odds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a threshold gives: leads in a day, or in the scan."""

    threshold: float
    leads: Estimate
    recall: Estimate | None
    precision: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The thresholds to choose from, strictest first, and the one that was chosen.

    ``chosen`` is its place in ``steps``, or None if no step reaches the target; ``notes`` say what
    a reader must know of the figures. ``images`` is their number in a day, or in the scan.
    """

    origin: str
    images: float
    steps: tuple[Step, ...]
    chosen: int | None
    notes: tuple[str, ...] = ()

    @property
    def step(self) -> Step | None:
        """The chosen one."""
        return None if self.chosen is None else self.steps[self.chosen]


class _Totals(NamedTuple):
    """Leads, those that show a product and those that do not, and the products that are missed."""

    leads: Estimate
    found: Estimate
    wrong: Estimate
    missed: Estimate | None

    @property
    def recall(self) -> Estimate | None:
        return None if self.missed is None else _ratio(self.found, self.missed)


def _ratio(found: Estimate, other: Estimate) -> Estimate | None:
    """Return the share of what was found among both, with a conservative interval."""
    if not found.value + other.value:
        return None
    if found.low == found.high and other.low == other.high:  # counted one by one
        return share(found.value, found.value + other.value)
    low = found.low / (found.low + other.high) if found.low else 0.0
    high = found.high / (found.high + other.low) if found.high else 0.0
    return Estimate(found.value / (found.value + other.value), low, high)


@dataclass(frozen=True, eq=False, kw_only=True)
class Images(ABC):
    """N images with the highest score of any family, and what is known of them.

    ``scores`` (N,) are calibrated probabilities; ``shown`` (N,) is the family that an image shows,
    or :data:`NO_PRODUCT`. ``images`` is their number in a day, or in the scan. ``families`` are
    those of the bundle that are not ignored, and ``named`` its any-product thresholds by
    false-positive rate.
    """

    origin: str
    families: tuple[str, ...]
    named: Mapping[float, float]
    scores: NDArray[np.float64]
    shown: NDArray[np.str_]
    images: float

    @abstractmethod
    def _totals(self, threshold: float) -> _Totals:
        """Return what a threshold makes leads."""

    @abstractmethod
    def caveats(self) -> Iterator[str]:
        """Yield what a reader must know of the figures, as sentences."""

    @abstractmethod
    def _is_supported(self, threshold: float) -> bool:
        """Whether enough is known of the images over a threshold."""

    @cached_property
    def positive(self) -> NDArray[np.bool_]:
        """Which images are known to show a product, (N,)."""
        return np.asarray(self.shown != NO_PRODUCT)

    def steps(self) -> tuple[Step, ...]:
        """Measure all thresholds of which enough is known, with intervals of 95 %."""
        wanted = sorted({*GRID, *self.named.values()}, reverse=True)
        found = []
        for threshold in filter(self._is_supported, wanted):
            total = self._totals(threshold)
            found.append(
                Step(
                    threshold=threshold,
                    leads=total.leads,
                    recall=total.recall,
                    precision=_ratio(total.found, total.wrong),
                )
            )
        return tuple(found)


# --- labelled photos ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledPhotos(Images):
    """Photos of which somebody knows what they show, as a sample of those that come in.

    Photos of one source (N,) are alike. Their intervals are exact binomial ones (Clopper and
    Pearson) for the *effective* number of photos, as surveys compute them (Korn and Graubard,
    1998). ``prevalence`` is the share of all images that show a product, in the mix of the photos.
    """

    sources: NDArray[np.str_]
    prevalence: float

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        scores: Sequence[Mapping[str, float]],
        labels: Sequence[str],
        sources: Sequence[str],
        *,
        images_per_day: float,
        prevalence: float,
        origin: str = "labelled photos",
        ignore: Collection[str] = (),
    ) -> LabelledPhotos:
        """Gather photos that a bundle has scored, with and without a product.

        ``scores`` are calibrated probabilities by label; ``ignore`` are the labels that the policy
        ignores.
        """
        families = family_members(bundle, ignore)
        shown = np.array([family_shown(label, bundle.taxonomy) for label in labels])
        positive = shown != NO_PRODUCT
        if positive.all():
            raise UsageError(
                f"{origin}: none without a product, so that nothing says how long the queue will be"
            )
        if not positive.any():
            raise UsageError(f"{origin}: none with a product, so that nothing is known of recall")
        if not 0 < prevalence < 1:
            raise UsageError(f"prevalence = {prevalence}: a share between 0 and 1")
        return cls(
            origin=origin,
            families=tuple(families),
            named=bundle.any_product_thresholds,
            scores=np.array([highest_score(one, families) for one in scores]),
            shown=shown,
            images=images_per_day,
            sources=np.array(sources),
            prevalence=prevalence,
        )

    def _totals(self, threshold: float) -> _Totals:
        recall = self._share(self.positive, threshold)
        products = self.images * self.prevalence
        found = _scaled(recall, products)
        wrong = _scaled(self._share(~self.positive, threshold), self.images - products)
        missed = Estimate(1 - recall.value, 1 - recall.high, 1 - recall.low)
        return _Totals(
            leads=Estimate(
                found.value + wrong.value, found.low + wrong.low, found.high + wrong.high
            ),
            found=found,
            wrong=wrong,
            missed=_scaled(missed, products),
        )

    def _is_supported(self, threshold: float) -> bool:
        is_named = threshold in self.named.values()
        return is_named or (self.scores[~self.positive] > threshold).sum() >= MIN_OVER

    def _share(self, which: NDArray[np.bool_], threshold: float) -> Estimate:
        # 97.5 % for each of recall and false-positive rate, so that both hold with 95 %.
        confidence = 1 - (1 - CONFIDENCE) / 2
        clustering = self._clusterings[bool(self.positive[which].any())]
        sizes = np.unique(self.sources[which], return_counts=True)[1]
        number = clustering.effective(sizes, confidence)
        return share((self.scores[which] > threshold).mean() * number, number, confidence)

    @cached_property
    def _clusterings(self) -> tuple[Clustering, Clustering]:
        over = self.scores > np.array([*self.named.values()])[:, None]
        first, second = (
            Clustering.of(over[:, side], self.sources[side], self.shown[side])
            for side in (~self.positive, self.positive)
        )
        return first, second

    def caveats(self) -> Iterator[str]:
        """Yield what the sources of the photos mean for the figures."""
        for clustering, what, side in zip(
            self._clusterings,
            ("photos without a product", "photos of products"),
            (~self.positive, self.positive),
            strict=True,
        ):
            photos, sources = int(side.sum()), len(np.unique(self.sources[side]))
            if sources == 1:
                yield (
                    f"All {photos:,} {what} come from one source: the figures hold for photos like "
                    "these, and say nothing of others."
                )
            elif clustering.correlation > 0:
                yield (
                    f"The {photos:,} {what} come from {sources} sources and are alike within one "
                    f"(correlation {clustering.correlation:.2f}); the intervals allow for it."
                )
        none = [name for name in self.families if name not in self.shown]
        if none:
            yield f"No labelled photos: {', '.join(none)}. Nothing is known of their recall."


def _scaled(share: Estimate, total: float) -> Estimate:
    return Estimate(total * share.value, total * share.low, total * share.high)


# --- what reviewers found out ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class ReviewedScan(Images):
    """A scan and what people found out: leads are counted, products are known where decided.

    ``lead`` says which images were leads, (N,); ``weights`` how many images of the scan a decided
    one stands for: 1 for a lead, more in the audit sample, 0 if it was not decided, (N,). Nothing
    is known of images under ``floor``, the lowest threshold of a lead or score of the audit sample.
    ``factor`` is how many images of a day each stands for.
    """

    lead: NDArray[np.bool_]
    weights: NDArray[np.float64]
    factor: float
    floor: float

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        rows: Iterable[Row],
        outcomes: Mapping[str, Outcome],
        *,
        images_per_day: float | None = None,
        ignore: Collection[str] = (),
    ) -> ReviewedScan:
        """Gather the images of a scan that may be over a threshold or were decided.

        Rows of other models are left out. ``outcomes`` has what stands of an image by its digest;
        ``images_per_day`` is by default the number of images of the scan.
        """
        families = family_members(bundle, ignore)
        drawn, audited = Counter[float](), Counter[float]()
        kept: list[tuple[float, str, bool, float | None]] = []
        scanned, floor = 0, 1.0
        for row in rows:
            if row.scores is None or row.model.digest != bundle.digest:
                continue
            scanned += 1
            outcome = outcomes.get(row.sha256 or "")
            is_decided = outcome is not None and outcome.judgement in DECIDED
            audit = None if row.is_image_lead else row.audit
            if audit is not None:
                drawn[audit] += 1
                audited[audit] += is_decided
            score = highest_score(row.scores, families)
            weight = (1.0 if row.is_image_lead else audit) if is_decided else None
            if weight is not None:
                known = [score] if audit else [lead.threshold for lead in row.leads]
                floor = min([floor, *known])
            if weight is not None or score > GRID[-1]:
                family = _shown(row, outcome, bundle.taxonomy) if outcome else NO_PRODUCT
                kept.append((score, family, row.is_image_lead, weight))
        if not kept:
            raise UsageError(
                f"no scored row was made by {bundle.title}, or none is near a threshold: name the "
                "--bundle of the scan"
            )
        scores, shown, leads = map(np.array, zip(*(one[:3] for one in kept), strict=True))
        stands_for = audit_weights(drawn, audited)
        weights = np.array(
            [
                0.0 if given is None else 1.0 if is_lead else stands_for[given]
                for _, _, is_lead, given in kept
            ]
        )
        factor = 1.0 if images_per_day is None else images_per_day / scanned
        return cls(
            origin=f"{scanned:,} images, {int((weights > 0).sum()):,} of them decided",
            families=tuple(families),
            named=bundle.any_product_thresholds,
            scores=scores,
            shown=shown,
            images=factor * scanned,
            lead=leads,
            weights=weights,
            factor=factor,
            floor=floor,
        )

    @cached_property
    def has_audit(self) -> bool:
        """Whether anybody looked at images that were cleared."""
        return bool((~self.lead & (self.weights > 0)).any())

    def _totals(self, threshold: float) -> _Totals:
        over, positive = self.scores > threshold, self.positive
        negative = ~positive & (self.weights > 0)
        leads = self.factor * float(over.sum())
        return _Totals(
            leads=Estimate(leads, leads, leads),
            found=self._count(positive & over, over),
            wrong=self._count(negative & over, over),
            missed=self._count(positive & ~over, ~over) if self.has_audit else None,
        )

    def _count(self, which: NDArray[np.bool_], among: NDArray[np.bool_]) -> Estimate:
        """Return how many images some stand for; leads were decided one by one."""
        audited = ~self.lead & (self.weights > 0)
        weights: Counter[float] = Counter(dict.fromkeys(self.weights[audited & among].tolist(), 0))
        weights.update(self.weights[audited & which].tolist())
        whole = int((which & self.lead & (self.weights > 0)).sum())
        found = weighted_count(weights)
        return Estimate(whole + found.value, whole + found.low, whole + found.high)

    def _is_supported(self, threshold: float) -> bool:
        over, decided = self.scores > threshold, self.weights > 0
        leads, clear = over & self.lead, over & ~self.lead
        return bool(
            (over & decided).sum() >= MIN_OVER
            and threshold >= self.floor
            and (leads & decided).sum() >= MIN_DECIDED * leads.sum()
            and ((clear & decided).sum() >= MIN_OVER or clear.sum() <= 0.1 * over.sum())
        )

    def caveats(self) -> Iterator[str]:
        """Yield what outcomes can say, and what not."""
        if not self.has_audit:
            yield (
                "No audit sample was decided: nothing is known of what was cleared, so there is no "
                "recall and no lower threshold (recognizer scan --audit-rate)."
            )
        yield (
            "The same outcomes choose the threshold and measure it: measure it again on the next "
            "scan."
        )


def _shown(row: Row, outcome: Outcome, taxonomy: Taxonomy) -> str:
    """Return the family that a decided image shows: by the reviewer's label, else by its lead."""
    if outcome.judgement is not Judgement.CONFIRMED:
        return NO_PRODUCT
    for label in (outcome.label, *row.lead_labels):
        if label and label in taxonomy.labels and (family := family_shown(label, taxonomy)):
            return family
    families = row.family or {NO_PRODUCT: 0.0}
    return max(families, key=lambda name: families[name])


# --- families -------------------------------------------------------------------------------------


def family_members(bundle: Bundle, ignore: Collection[str]) -> dict[str, list[str]]:
    """Return family -> its labels, without those that a policy ignores."""
    members = {f.name: [m for m in f.members if m not in ignore] for f in bundle.families}
    return {name: labels for name, labels in members.items() if labels}


def highest_score(scores: Mapping[str, float], families: Mapping[str, Sequence[str]]) -> float:
    """Return the highest probability of any member of a family, from those of labels."""
    return 1 - min(math.prod(1 - scores[one] for one in labels) for labels in families.values())


def family_shown(label: str, taxonomy: Taxonomy) -> str:
    """Return the family of a product's label, or :data:`NO_PRODUCT`."""
    entry = taxonomy.labels[label]
    return str(entry.family) if entry.kind is Kind.PRODUCT else NO_PRODUCT


# --- choosing -------------------------------------------------------------------------------------


def choose(
    images: Images, *, capacity: float | None = None, precision: float | None = None
) -> Choice:
    """Choose the loosest threshold that fits a team, or whose leads are precise enough.

    ``capacity`` is how many leads the team works through in a day, ``precision`` the share of them
    that must show a product, by the lower end of the interval.
    """
    if precision is not None and not 0 < precision < 1:
        raise UsageError(f"precision = {precision}: a share over 0 and under 1, such as 0.5")
    steps = images.steps()
    fitting = [
        place
        for place, step in enumerate(steps)
        if (capacity is None or step.leads.value <= capacity)
        and (precision is None or (step.precision is not None and step.precision.low >= precision))
    ]
    # If none fits a team, it is the strictest, of which the highest scores are reached.
    chosen = max(fitting, default=0 if steps and precision is None else None)
    made = Choice(
        origin=images.origin,
        images=images.images,
        steps=steps,
        chosen=chosen,
    )
    notes = (*_notes(made, capacity, precision), *_unknown(images), *images.caveats())
    return replace(made, notes=notes)


def _unknown(images: Images) -> Iterator[str]:
    if unknown := sorted({*images.shown.tolist()} - {*images.families, NO_PRODUCT}):
        yield (
            f"The bundle does not know {', '.join(unknown)}, or the policy ignores it: found only "
            "by mistake."
        )


def _notes(choice: Choice, capacity: float | None, precision: float | None) -> Iterator[str]:
    step = choice.step
    if not choice.steps:
        yield "Too few images were decided to say anything of a threshold: review more."
    elif step is None:
        yield (
            f"There is no threshold over which at least {precision:.0%} of the leads show a "
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
    if step is not None and step.precision and 0 < step.leads.value < choice.images:
        found = step.leads.value * step.precision.value / (choice.images - step.leads.value)
        claims = {
            claim: negatives_without_error(min(found * (1 - claim) / claim, 0.999))
            for claim in (0.25, 0.5, 0.75)
            if found
        }
        words = ", ".join(f"{claim:.0%}: {images:,}" for claim, images in claims.items())
        yield (
            "Cleared images to look at, drawn at random, of which none may show a product, to "
            f"claim a recall with a confidence of 95 %: {words or 'unknown'}."
        )


def policy_of(choice: Choice, bundle: Bundle, base: Policy, name: str) -> Policy:
    """Return a policy with the chosen threshold in place of those of another, ``base``.

    A threshold that the bundle names is given as a rate, which holds for another bundle too; all
    others are probabilities, which hold for this one alone.
    """
    step = choice.step
    if step is None:
        return replace(base, name=name)
    rates = {value: rate for rate, value in bundle.any_product_thresholds.items()}

    def level(threshold: float) -> Rate | Probability:
        return Rate(rates[threshold]) if threshold in rates else Probability(threshold)

    strictest = (max(rates), choice.steps[0].threshold)
    priority = next((one for one in strictest if one > step.threshold), step.threshold)
    rule = Rule(review=level(step.threshold), priority=level(priority))
    return replace(base, name=name, default=rule, rules={})
