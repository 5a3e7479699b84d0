"""Labelled photos with their scores: the better evidence for a plan."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recognizer.errors import UsageError
from recognizer.model.description import Estimate
from recognizer.policy import FALSE_POSITIVE_RATES
from recognizer.review.plan.evidence import (
    ANY_PRODUCT,
    LEAST,
    NO_PRODUCT,
    ByProduct,
    Level,
    Measured,
    Setting,
    family_shown,
    family_thresholds,
    level_of,
    levels,
)
from recognizer.review.plan.intervals import UNKNOWN, Clustering, exact_interval

if TYPE_CHECKING:
    from recognizer.model.bundle import Bundle

MIN_NEGATIVES = 5
"""Scored negatives that must be over a threshold that the bundle does not name."""

MIN_PHOTOS_NAMED = 5
"""Photos of a product below which it has no rule of its own."""

MIN_PHOTOS_BETWEEN = 20
"""Photos of a product below which its rule has one of the bundle's named thresholds."""

MIN_SOURCES_BETWEEN = 3
"""Sources of these photos below which the same holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredPhoto:
    """A photo of which somebody knows what it shows.

    Attributes:
        sha256: of its bytes, hexadecimal.
        label: what it shows, a label of the taxonomy.
        source: where it comes from; photos of one source are alike.
        families: family of the bundle -> calibrated probability.
    """

    sha256: str
    label: str
    source: str
    families: Mapping[str, float]


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoredPhotos:
    """Labelled photos with their scores, as arrays.

    Whatever yields :class:`ScoredPhoto` can be planned from: a test split today; what reviewers
    found, once that is recorded.

    Attributes:
        origin: where they come from, in words.
        thresholds: family -> rate -> threshold, as the bundle holds them; in the order of the
            columns of ``scores``.
        any_product: rate -> threshold on the highest family.
        scores: calibrated probabilities, (N, families).
        shown: (N,): the family that a photo shows, or :data:`NO_PRODUCT`.
        sources: (N,).
    """

    origin: str
    thresholds: Mapping[str, Mapping[float, float]]
    any_product: Mapping[float, float]
    scores: NDArray[np.float64]
    shown: NDArray[np.str_]
    sources: NDArray[np.str_]

    @classmethod
    def of(cls, bundle: Bundle, photos: Sequence[ScoredPhoto], origin: str) -> ScoredPhotos:
        """Gather photos that a bundle has scored.

        Args:
            bundle: its thresholds and names count.
            photos: at least one of them without a product.
            origin: where they come from, in words.

        Raises:
            UsageError: all photos show products.
        """
        thresholds = family_thresholds(bundle)
        shown = [family_shown(photo.label, bundle.taxonomy) for photo in photos]
        if NO_PRODUCT not in shown:
            raise UsageError(
                f"{origin}: none without a product, so that nothing says how long the queue will be"
            )
        return cls(
            origin=origin,
            thresholds=thresholds,
            any_product=bundle.any_product_thresholds,
            scores=np.array([[photo.families[name] for name in thresholds] for photo in photos]),
            shown=np.array(shown),
            sources=np.array([photo.source for photo in photos]),
        )

    @property
    def families(self) -> tuple[str, ...]:
        """The columns of :attr:`scores`."""
        return tuple(self.thresholds)

    @cached_property
    def counts(self) -> Mapping[str, tuple[int, int]]:
        """Product -> its photos and their sources."""
        names = dict.fromkeys([*self.families, *np.unique(self.shown[self.shown != NO_PRODUCT])])
        return {str(name): self._count(self.shown == name) for name in names}

    @property
    def negatives(self) -> tuple[int, int]:
        """Photos without a product, and their sources."""
        return self._count(self._negative)

    def _count(self, which: Any) -> tuple[int, int]:
        return int(which.sum()), len(np.unique(self.sources[which]))

    @cached_property
    def _negative(self) -> NDArray[np.bool_]:
        return np.asarray(self.shown == NO_PRODUCT)

    @cached_property
    def _clusterings(self) -> tuple[Clustering, Clustering]:
        """Of the photos without a product, and of those with one."""
        highest = self.scores.max(axis=1)
        over = np.stack([highest > self.any_product[rate] for rate in FALSE_POSITIVE_RATES])
        return tuple(  # type: ignore[return-value]
            Clustering.of(over[:, side], self.sources[side], self.shown[side])
            for side in (self._negative, ~self._negative)
        )

    def settings(self, prevalence: Mapping[str, float], *, by_product: bool) -> tuple[Setting, ...]:
        """Return the settings; see :class:`~recognizer.review.plan.evidence.Evidence`.

        With several rules, the one is loosened next that finds the most products for each photo
        without one that it adds to the queue.
        """
        rules = self._rules({f for f, p in prevalence.items() if p} if by_product else set())
        strictest = self._supported(levels(self.any_product), self.scores.max(axis=1))[0]
        for rule, allowed in rules.items():  # all products begin with one threshold
            if rule != ANY_PRODUCT:
                looser = tuple(x for x in allowed if x.threshold < strictest.threshold)
                rules[rule] = (replace(strictest, is_named=False), *looser)
        setting = {rule: allowed[0] for rule, allowed in rules.items()}
        found: list[Setting] = [setting]
        steps = [(*step, rule) for rule in rules for step in self._steps(rule, rules, prevalence)]
        # Within a rule, gains fall and costs rise, so that sorting keeps the order of its steps.
        for *_, level, rule in sorted(steps, key=lambda step: (-step[0], step[1])):
            setting = {**setting, rule: level}
            found.append(setting)
        return tuple(found)

    def _steps(
        self,
        rule: str,
        rules: Mapping[str, tuple[Level, ...]],
        prevalence: Mapping[str, float],
    ) -> Iterator[tuple[float, float, Level]]:
        """Yield gain for cost, cost of the rule alone, and level, along the hull of its levels."""
        columns = [
            i
            for i, family in enumerate(self.families)
            if family == rule or (rule == ANY_PRODUCT and family not in rules)
        ]
        highest = self.scores[:, columns].max(axis=1)
        over = np.stack([highest > level.threshold for level in rules[rule]])
        cost = over[:, self._negative].mean(axis=1)
        gain = np.zeros(len(over))
        for family, share in prevalence.items():
            shown = self.shown == family
            if shown.any():
                gain += share * over[:, shown].mean(axis=1)
        if len(rules) == 1:  # nothing to choose between: all levels in their order
            yield from ((0.0, float(n), level) for n, level in enumerate(rules[rule][1:]))
            return
        at, slope = 0, math.inf
        while at + 1 < len(over):
            slopes = (gain[at + 1 :] - gain[at]) / np.maximum(cost[at + 1 :] - cost[at], LEAST)
            at += 1 + int(slopes.argmax())
            slope = min(slope, float(slopes.max()))  # rounding must not let it rise
            yield slope, float(cost[at]), rules[rule][at]

    def _rules(self, products: Container[str]) -> dict[str, tuple[Level, ...]]:
        """Return the rules, and the levels that the evidence allows for each, strictest first.

        Args:
            products: those that may have one of their own.
        """
        found = {}
        for column, family in enumerate(self.families):
            photos, sources = self.counts[family]
            if family not in products or photos < MIN_PHOTOS_NAMED:
                continue
            allowed = self._supported(levels(self.thresholds[family]), self.scores[:, column])
            if photos < MIN_PHOTOS_BETWEEN or sources < MIN_SOURCES_BETWEEN:
                allowed = tuple(level for level in allowed if level.is_named)
            found[family] = allowed
        rest = [i for i, family in enumerate(self.families) if family not in found]
        if rest:
            highest = self.scores[:, rest].max(axis=1)
            found[ANY_PRODUCT] = self._supported(levels(self.any_product), highest)
        return found

    def _supported(self, wanted: Sequence[Level], scores: NDArray[np.float64]) -> tuple[Level, ...]:
        """Return the named levels, and the others that enough negatives are over."""
        negatives = scores[self._negative]
        return tuple(
            level
            for level in wanted
            if level.is_named or int((negatives > level.threshold).sum()) >= MIN_NEGATIVES
        )

    def measure(self, setting: Setting, confidence: float) -> Measured:
        """Measure a setting; see :class:`~recognizer.review.plan.evidence.Evidence`."""
        lead = np.asarray(self._over(setting).any(axis=1))
        return Measured(
            false_positive_rate=self._share(NO_PRODUCT, lead, confidence),
            recall={name: self._share(name, lead, confidence) for name in self.counts},
        )

    def by_product(self, setting: Setting, confidence: float) -> ByProduct:
        """Measure it by product; see :class:`~recognizer.review.plan.evidence.Evidence`."""
        over = self._over(setting)
        likeliest = np.where(over, self.scores, -1).argmax(axis=1)
        likeliest[~over.any(axis=1)] = -1
        columns = dict(zip(self.families, over.T, strict=True))
        return ByProduct(
            false_positive_rate={
                name: self._share(NO_PRODUCT, column, confidence)
                for name, column in columns.items()
            },
            recall={
                name: self._share(name, column, confidence) for name, column in columns.items()
            },
            looks_like={
                str(shown): {
                    name: float((likeliest[self.shown == shown] == i).mean())
                    for i, name in enumerate(self.families)
                }
                for shown in np.unique(self.shown)
            },
        )

    def _over(self, setting: Setting) -> NDArray[np.bool_]:
        thresholds = np.array([level_of(setting, family).threshold for family in self.families])
        return np.asarray(self.scores > thresholds, np.bool_)

    def _share(self, shown: str, hits: NDArray[np.bool_], confidence: float) -> Estimate:
        """Return the share of hits among the photos that show something, with its interval."""
        which = self.shown == shown
        if not which.any():
            return UNKNOWN
        key = (shown, confidence)
        if key not in self._effective:
            clustering = self._clusterings[shown != NO_PRODUCT]
            self._effective[key] = clustering.effective(self.sources[which], confidence)
        return exact_interval(float(hits[which].mean()), self._effective[key], confidence)

    @cached_property
    def _effective(self) -> dict[tuple[str, float], float]:
        return {}

    def caveats(self) -> Iterator[str]:
        """Yield caveats; see :class:`~recognizer.review.plan.evidence.Evidence`."""
        for clustering, what, (photos, sources) in zip(
            self._clusterings,
            ("photos without a product", "photos of products"),
            (self.negatives, self._count(~self._negative)),
            strict=True,
        ):
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
