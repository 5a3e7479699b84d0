"""Thresholds for a review team: what each choice finds, and how many leads it makes.

There are two grounds for it. :class:`LabelledPhotos` with their scores tell recall and
false-positive rate; with a prevalence, that is leads a day. :class:`ReviewedScan` is what people
found out about a scan: of leads they decide on what is there, and only the audit sample, clear
images drawn with known probabilities, tells what a lower threshold would add and what was missed.
Of both, the thresholds are chosen whose leads a team can work through, or of which enough show a
product.
"""

from __future__ import annotations

import difflib
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from recognizer.errors import UsageError
from recognizer.evaluation.metrics import CONFIDENCE, Clustering, share, weighted_mean
from recognizer.evaluation.prevalence import negatives_without_error
from recognizer.listing_columns import Role, as_text, listing_of, value_of
from recognizer.model.bundle import Bundle
from recognizer.model.description import Estimate
from recognizer.policy import CandidateKind, Policy, Probability, Rate, Rule
from recognizer.review.measure import DECIDED, audit_weights, weighted_count
from recognizer.review.outcomes import Judgement, Outcome
from recognizer.rows.row import Row
from recognizer.taxonomy import Kind, Taxonomy

ANY_PRODUCT = "any product"
"""The rule for every product without a rule of its own: on the highest score of an image."""

NO_PRODUCT = ""
"""What an image shows that shows no product."""

MIN_OVER = 5
"""Images without a product (labelled) or decided ones (reviewed) that must be over a threshold."""

MIN_PHOTOS, MIN_SOURCES = 20, 3
"""Photos of a product, and their sources, below which it has no rule of its own."""

MIN_DECIDED = 0.9
"""Share of the leads over a threshold that must be decided before anything is said of it: reviewers
begin with the highest scores, so that the decided ones do not stand for the others."""

GRID = tuple(float(x) for x in np.round(expit(np.arange(-4, 9.01, 0.25)), 6)[::-1])
"""Thresholds to choose from, strictest first, at equal distances in log-odds."""

Setting = Mapping[str, float]
"""Rule -> threshold: products with a rule of their own, and :data:`ANY_PRODUCT`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one choice of thresholds gives: leads in a day, or in the scan."""

    thresholds: Setting
    leads: Estimate
    recall: Estimate | None
    precision: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What a choice means for one product; without a threshold, the bundle does not know it.

    ``leads`` look most like it, whatever they show; ``found`` show it, whatever they look like.
    """

    name: str
    threshold: float | None
    photos: int
    sources: int
    recall: Estimate | None
    leads: float
    found: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The choices of thresholds, strictest first, and the one that was made.

    ``chosen`` is its place in ``steps``, or None if no step reaches the target; ``products`` are
    those of the chosen step, the most leads first; ``notes`` what a reader must know of the
    figures. ``images`` is their number in a day, or in the scan.
    """

    origin: str
    images: float
    steps: tuple[Step, ...]
    chosen: int | None
    products: tuple[Product, ...] = ()
    notes: tuple[str, ...]

    @property
    def step(self) -> Step | None:
        """The chosen one."""
        return None if self.chosen is None else self.steps[self.chosen]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Totals:
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
    """Images with their scores, and what is known of them: N images, F families.

    Attributes:
        families: the columns of ``scores``.
        named: false-positive rate -> the any-product threshold that the bundle holds.
        scores: calibrated probabilities, (N, F).
        shown: the family that an image shows, or :data:`NO_PRODUCT`, (N,).
        sources: images of one source are alike, (N,).
        daily: how many images of a day each stands for, (N,).
        known: the same if somebody knows what it shows, else 0, (N,).
        images: in a day.
    """

    origin: str
    families: tuple[str, ...]
    named: Mapping[float, float]
    scores: NDArray[np.float64]
    shown: NDArray[np.str_]
    sources: NDArray[np.str_]
    daily: NDArray[np.float64]
    known: NDArray[np.float64]
    images: float

    @abstractmethod
    def _totals(self, thresholds: Setting, product: str | None = None) -> _Totals:
        """Return what a choice of thresholds makes leads, of all products or of one."""

    @abstractmethod
    def caveats(self) -> Iterator[str]:
        """Yield what a reader must know of the figures, as sentences."""

    @abstractmethod
    def _is_supported(self, highest: NDArray[np.float64], threshold: float) -> bool:
        """Whether enough is known of the images over a threshold."""

    @cached_property
    def positive(self) -> NDArray[np.bool_]:
        """Which images are known to show a product, (N,)."""
        return np.asarray((self.shown != NO_PRODUCT) & (self.known > 0))

    @cached_property
    def counts(self) -> Mapping[str, tuple[int, int]]:
        """Product -> the images that are known to show it, and their sources."""
        names = dict.fromkeys([*self.families, *np.unique(self.shown[self.positive]).tolist()])
        which = {name: self.positive & (self.shown == name) for name in names}
        return {n: (int(w.sum()), len(np.unique(self.sources[w]))) for n, w in which.items()}

    def measure(self, thresholds: Setting) -> Step:
        """Measure a choice, with intervals of 95 %."""
        total = self._totals(thresholds)
        return Step(
            thresholds=thresholds,
            leads=total.leads,
            recall=total.recall,
            precision=_ratio(total.found, total.wrong),
        )

    def over(self, thresholds: Setting) -> NDArray[np.bool_]:
        """Return which scores are over their thresholds, (N, F)."""
        limits = [thresholds.get(f, thresholds.get(ANY_PRODUCT, 1.0)) for f in self.families]
        return np.asarray(self.scores > np.array(limits))

    def settings(self, *, by_product: bool = True) -> list[Setting]:
        """Return the choices: the strictest first, and each holds the leads of the one before.

        With several rules, the one is loosened next that finds the most products for the leads that
        it adds.
        """
        start = self._supported(self.scores.max(axis=1))[:1]
        if not start:
            return []
        own = [
            name
            for name, (photos, sources) in self.counts.items()
            if by_product and photos >= MIN_PHOTOS and sources >= MIN_SOURCES
        ]
        own = [name for name in own if name in self.families]
        rest = [i for i, name in enumerate(self.families) if name not in own]
        columns = {name: [self.families.index(name)] for name in own}
        columns |= {ANY_PRODUCT: rest} if rest else {}
        setting = dict.fromkeys(columns, start[0])
        found: list[Setting] = [setting]
        steps = [step for rule in columns for step in self._steps(rule, columns[rule], start[0])]
        # Within a rule, gains fall and costs rise, so that sorting keeps the order of its steps.
        for _, _, rule, threshold in sorted(steps, key=lambda step: (-step[0], step[1])):
            setting = {**setting, rule: threshold}
            found.append(setting)
        return found

    def _supported(self, highest: NDArray[np.float64]) -> list[float]:
        wanted = sorted({*GRID, *self.named.values()}, reverse=True)
        return [threshold for threshold in wanted if self._is_supported(highest, threshold)]

    def _steps(
        self, rule: str, columns: Sequence[int], start: float
    ) -> Iterator[tuple[float, float, str, float]]:
        """Yield gain for cost, cost, rule and threshold, along the hull of a rule's thresholds."""
        highest = self.scores[:, columns].max(axis=1)
        thresholds = [start, *(one for one in self._supported(highest) if one < start)]
        over = highest > np.array(thresholds)[:, None]
        cost, gain = over @ self.daily, over @ (self.known * self.positive)
        at, slope = 0, math.inf
        while at + 1 < len(thresholds):
            gains = gain[at + 1 :] - gain[at]
            slopes = gains / np.maximum(cost[at + 1 :] - cost[at], 1e-9)
            # A single rule has nothing to choose between: it takes each of its steps.
            step = 0 if len(columns) == len(self.families) else int(slopes.argmax())
            at += 1 + step
            slope = min(slope, float(slopes[step]))  # rounding must not let it rise
            yield slope, float(cost[at]), rule, thresholds[at]

    def products(self, thresholds: Setting) -> tuple[Product, ...]:
        """Return what a choice means for each product, the most leads first."""
        over = self.over(thresholds)
        lead = np.asarray(over.any(axis=1))
        likeliest = np.where(lead, np.where(over, self.scores, -1).argmax(axis=1), -1)
        found = []
        for name, (photos, sources) in self.counts.items():
            is_known = name in self.families
            place = self.families.index(name) if is_known else -2
            threshold = thresholds.get(name, thresholds.get(ANY_PRODUCT)) if is_known else None
            found.append(
                Product(
                    name=name,
                    threshold=threshold,
                    photos=photos,
                    sources=sources,
                    recall=self._totals(thresholds, name).recall if photos else None,
                    leads=float(self.daily[likeliest == place].sum()),
                    found=float(self.known[lead & self.positive & (self.shown == name)].sum()),
                )
            )
        return tuple(sorted(found, key=lambda one: -one.leads))


# --- labelled photos ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledPhotos(Images):
    """Photos of which somebody knows what they show, as a sample of those that come in.

    Photos of one source are alike. Their intervals are exact binomial ones (Clopper and Pearson)
    for the *effective* number of photos, as surveys compute them (Korn and Graubard, 1998).
    ``prevalence`` is the share of all images that show a product, by product.
    """

    prevalence: Mapping[str, float]

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        scores: Sequence[Mapping[str, float]],
        labels: Sequence[str],
        sources: Sequence[str],
        *,
        images_per_day: float,
        prevalence: float | Mapping[str, float],
        origin: str = "labelled photos",
        ignore: Collection[str] = (),
    ) -> LabelledPhotos:
        """Gather photos that a bundle has scored, at least one of them without a product.

        ``scores`` are calibrated probabilities by label. ``prevalence`` is the share of the images
        of a day that show any product, in the mix of the photos; or by family. ``ignore`` are the
        labels that the policy ignores.
        """
        families = family_members(bundle, ignore)
        shown = np.array([family_shown(label, bundle.taxonomy) for label in labels])
        counts = Counter([*shown.tolist()])
        negatives = counts.pop(NO_PRODUCT, 0)
        if not negatives:
            raise UsageError(
                f"{origin}: none without a product, so that nothing says how long the queue will be"
            )
        shares = _by_product(prevalence, dict.fromkeys(families, 0) | counts)
        shares_of = shares | {NO_PRODUCT: 1 - sum(shares.values())}
        number = counts | {NO_PRODUCT: negatives}
        daily = images_per_day * np.array([shares_of[name] / number[name] for name in shown])
        return cls(
            origin=origin,
            families=tuple(families),
            named=bundle.any_product_thresholds,
            scores=np.array([family_scores(one, families) for one in scores]),
            shown=shown,
            sources=np.array(sources),
            daily=daily,
            known=np.ones(len(shown)) * daily,
            images=images_per_day,
            prevalence=shares,
        )

    @cached_property
    def positive(self) -> NDArray[np.bool_]:
        """Which photos show a product, also one that is taken to be absent."""
        return np.asarray(self.shown != NO_PRODUCT)

    def _totals(self, thresholds: Setting, product: str | None = None) -> _Totals:
        shares = self.prevalence if product is None else {product: 1.0}
        every = sum(shares.values())
        mix = {name: part / every for name, part in shares.items() if part}
        recall = weighted_mean(mix, {name: self._share(name, thresholds) for name in mix})
        products = self.images * every
        others = self.images * max(0.0, 1 - every)
        found = _scaled(recall, products)
        wrong = _scaled(self._share(NO_PRODUCT, thresholds), others)
        ends = zip(
            (found.value, found.low, found.high), (wrong.value, wrong.low, wrong.high), strict=True
        )
        return _Totals(
            leads=Estimate(*map(sum, ends)),
            found=found,
            wrong=wrong,
            missed=_scaled(Estimate(1 - recall.value, 1 - recall.high, 1 - recall.low), products),
        )

    def _is_supported(self, highest: NDArray[np.float64], threshold: float) -> bool:
        negatives = highest[~self.positive]
        is_named = threshold in self.named.values()
        return is_named or int((negatives > threshold).sum()) >= MIN_OVER

    def _share(self, name: str, thresholds: Setting) -> Estimate:
        # 97.5 % for each of recall and false-positive rate, so that both hold with 95 %; of several
        # rules that are tuned on the same photos, each has its part of the error.
        confidence = 1 - (1 - CONFIDENCE) / 2 / len(thresholds)
        which = self.shown == name
        if not which.any():
            return Estimate(0.0, 0.0, 1.0)  # nothing is known of it
        lead = self.over(thresholds)[which].any(axis=1)
        clustering = self._clusterings[name != NO_PRODUCT]
        number = clustering.effective(self._sizes[name], confidence)
        return share(lead.mean() * number, number, confidence)

    @cached_property
    def _sizes(self) -> Mapping[str, NDArray[np.intp]]:
        return {
            name: np.unique(self.sources[self.shown == name], return_counts=True)[1]
            for name in np.unique(self.shown).tolist()
        }

    @cached_property
    def _clusterings(self) -> tuple[Clustering, Clustering]:
        limits = np.array([*self.named.values()])[:, None]
        over = self.scores.max(axis=1) > limits
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
        none = [name for name, (photos, _) in self.counts.items() if not photos]
        if none:
            yield f"No labelled photos: {', '.join(none)}. Nothing is known of their recall."


def _scaled(share: Estimate, total: float) -> Estimate:
    return Estimate(total * share.value, total * share.low, total * share.high)


def _by_product(
    prevalence: float | Mapping[str, float], counts: Mapping[str, int]
) -> dict[str, float]:
    """Return product -> share of all images that show it, for every product in ``counts``."""
    if isinstance(prevalence, Mapping):
        for name in prevalence:
            if name not in counts:
                close = difflib.get_close_matches(name, list(counts))
                hint = f"; did you mean {' or '.join(close)}?" if close else ""
                raise UsageError(f"prevalence of {name}: no such family{hint}")
        found = {name: float(prevalence.get(name, 0.0)) for name in counts}
    else:
        photos = sum(counts.values())
        if not photos:
            raise UsageError("no photo of a product tells the mix: give a prevalence for each")
        found = {name: prevalence * count / photos for name, count in counts.items()}
    if min(found.values()) < 0 or not 0 < sum(found.values()) < 1:
        raise UsageError("prevalence: shares of all photos, together between 0 and 1")
    return found


# --- what reviewers found out ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class ReviewedScan(Images):
    """A scan and what people found out: leads are counted, products are known where decided.

    ``lead`` says which images were leads, (N,); ``weights`` how many images of the scan a decided
    one stands for: 1 for a lead, more in the audit sample, 0 if it was not decided, (N,). Nothing
    is known of images under ``floor``, the lowest threshold of a lead or score of the audit sample.
    """

    lead: NDArray[np.bool_]
    weights: NDArray[np.float64]
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
        kept: list[tuple[list[float], str, str, bool, float | None]] = []
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
            scores = family_scores(row.scores, families)
            weight = (1.0 if row.is_image_lead else audit) if is_decided else None
            if weight is not None:
                known = [max(scores)] if audit else [lead.threshold for lead in row.leads]
                floor = min([floor, *known])
            if weight is not None or max(scores) > GRID[-1]:
                shown = _shown(row, outcome, bundle.taxonomy) if outcome else NO_PRODUCT
                kept.append((scores, shown, _source_of(row), row.is_image_lead, weight))
        if not kept:
            raise UsageError(
                f"no scored row was made by {bundle.title}, or none is near a threshold: name the "
                "--bundle of the scan"
            )
        columns = [np.array(column) for column in zip(*(one[:4] for one in kept), strict=True)]
        stands_for = audit_weights(drawn, audited)
        weights = np.array(
            [
                0.0 if given is None else 1.0 if is_lead else stands_for[given]
                for _, _, _, is_lead, given in kept
            ]
        )
        factor = 1.0 if images_per_day is None else images_per_day / scanned
        return cls(
            origin=f"{scanned:,} images, {int((weights > 0).sum()):,} of them decided",
            families=tuple(families),
            named=bundle.any_product_thresholds,
            scores=columns[0],
            shown=columns[1],
            sources=columns[2],
            daily=np.full(len(kept), factor),
            known=factor * weights,
            images=factor * scanned,
            lead=columns[3],
            weights=weights,
            floor=floor,
        )

    @cached_property
    def has_audit(self) -> bool:
        """Whether anybody looked at images that were cleared."""
        return bool((~self.lead & (self.weights > 0)).any())

    def _totals(self, thresholds: Setting, product: str | None = None) -> _Totals:
        over = np.asarray(self.over(thresholds).any(axis=1))
        positive = self.positive & ((self.shown == product) | (product is None))
        negative = ~self.positive & (self.weights > 0)
        leads = float(self.daily[over].sum())
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

    def _is_supported(self, highest: NDArray[np.float64], threshold: float) -> bool:
        over, decided = highest > threshold, self.weights > 0
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
            "The same outcomes choose the thresholds and measure them: measure them again on the "
            "next scan."
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


def _source_of(row: Row) -> str:
    seller = as_text(value_of(row.item or {}, Role.SELLER))
    return seller or listing_of(row.item) or row.source


# --- families -------------------------------------------------------------------------------------


def family_members(bundle: Bundle, ignore: Collection[str]) -> dict[str, list[str]]:
    """Return family -> its labels, without those that a policy ignores."""
    members = {f.name: [m for m in f.members if m not in ignore] for f in bundle.families}
    return {name: labels for name, labels in members.items() if labels}


def family_scores(
    scores: Mapping[str, float], families: Mapping[str, Sequence[str]]
) -> list[float]:
    """Return the probability of any member of each family, from those of labels."""
    return [1 - math.prod(1 - scores[label] for label in labels) for labels in families.values()]


def family_shown(label: str, taxonomy: Taxonomy) -> str:
    """Return the family of a product's label, or :data:`NO_PRODUCT`."""
    entry = taxonomy.labels[label]
    return str(entry.family) if entry.kind is Kind.PRODUCT else NO_PRODUCT


# --- choosing -------------------------------------------------------------------------------------


def choose(
    images: Images,
    *,
    capacity: float | None = None,
    precision: float | None = None,
    by_product: bool = True,
) -> Choice:
    """Choose the loosest thresholds that fit a team, or whose leads are precise enough.

    ``capacity`` is how many leads the team works through in a day, ``precision`` the share of them
    that must show a product, by the lower end of the interval. With ``by_product``, products with
    enough images have thresholds of their own.
    """
    if precision is not None and not 0 < precision < 1:
        raise UsageError(f"precision = {precision}: a share over 0 and under 1, such as 0.5")
    settings = images.settings(by_product=by_product)
    steps = tuple(map(images.measure, settings))
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
        products=images.products(settings[chosen]) if chosen is not None else (),
        notes=(),
    )
    notes = (*_notes(made, capacity, precision), *images.caveats())
    return replace(made, notes=notes)


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
            f"The strictest thresholds give {step.leads.value:,.0f} leads, the team can look at "
            f"{capacity:,.0f}: {capacity / step.leads.value:.0%} of the queue is reached, the "
            "highest scores first."
        )
    elif capacity is not None and step.leads.high > capacity:
        yield f"The queue is expected to fit, but may have up to {step.leads.high:,.0f} leads."
    elif choice.chosen == len(choice.steps) - 1:
        yield "These are the loosest thresholds of which enough is known."
    if unknown := [one.name for one in choice.products if one.threshold is None]:
        yield (
            f"The bundle does not know {', '.join(unknown)}, or the policy ignores it: found only "
            "by mistake."
        )
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
    """Return a policy with the chosen thresholds in place of those of another, ``base``.

    An any-product threshold that the bundle names is given as a rate, which holds for another
    bundle too; all others are probabilities, which hold for this one alone.
    """
    step = choice.step
    if step is None:
        return replace(base, name=name)
    strictest = choice.steps[0].thresholds
    rates = {value: rate for rate, value in bundle.any_product_thresholds.items()}

    def level(key: str, threshold: float) -> Rate | Probability:
        is_named = key == ANY_PRODUCT and threshold in rates
        return Rate(rates[threshold]) if is_named else Probability(threshold)

    def rule(key: str) -> Rule:
        review = step.thresholds[key]
        stricter = [one for one in (max(rates), strictest[key]) if one > review]
        priority = stricter[0] if stricter else review
        return Rule(review=level(key, review), priority=level(key, priority))

    own = {(CandidateKind.FAMILY, key): rule(key) for key in step.thresholds if key != ANY_PRODUCT}
    default = rule(ANY_PRODUCT) if ANY_PRODUCT in step.thresholds else base.default
    return replace(base, name=name, default=default, rules=own)
