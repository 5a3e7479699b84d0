"""A plan from the figures in ``bundle.json``: a first one, for which no photo is needed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

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
    log_odds,
)
from recognizer.review.plan.intervals import UNKNOWN, exact_interval

if TYPE_CHECKING:
    from recognizer.model.bundle import Bundle

DEFAULT_RATE = 0.01
"""The false-positive rate of the default policy."""


@dataclass(frozen=True, eq=False, kw_only=True)
class BundleEvidence:
    """The figures in ``bundle.json``: good for a first plan, with the any-product rule alone.

    Thresholds are the named ones. Where the bundle was measured on new sources with the default
    policy, the false-positive rates of all thresholds are taken to be off by the factor seen there.
    """

    bundle: Bundle

    @property
    def origin(self) -> str:
        """Where the figures come from."""
        return f"the figures that {self.bundle.title} holds of itself"

    @property
    def families(self) -> tuple[str, ...]:
        """The families of the bundle."""
        return tuple(family.name for family in self.bundle.families)

    @cached_property
    def counts(self) -> Mapping[str, tuple[int, int]]:
        """Product -> its test photos and their sources."""
        tests = {f.name: f.evidence.test if f.evidence else None for f in self.bundle.families}
        return {n: (test.photos, test.sources) if test else (0, 0) for n, test in tests.items()}

    @property
    def negatives(self) -> tuple[int, int]:
        """Test photos without a product, and their sources."""
        found = self.bundle.evaluation
        return (found.negatives, found.negative_sources) if found else (0, 0)

    @cached_property
    def _measured_leads(self) -> Mapping[str, tuple[int, int]]:
        """Product -> leads with the default policy, and photos."""
        found: dict[str, tuple[int, int]] = {}
        evaluation = self.bundle.evaluation
        for label, counts in evaluation.leads.items() if evaluation else ():
            name = family_shown(label, self.bundle.taxonomy)
            leads, photos = found.get(name, (0, 0))
            found[name] = (leads + counts.leads, photos + counts.photos)
        return found

    def settings(
        self,
        prevalence: Mapping[str, float],  # noqa: ARG002 - there is one rule
        *,
        by_product: bool,  # noqa: ARG002
    ) -> tuple[Setting, ...]:
        """Return the any-product rule at the named rates; see :class:`Evidence`."""
        thresholds = self.bundle.any_product_thresholds
        return tuple(
            {ANY_PRODUCT: Level(threshold=thresholds[rate], rate=rate, is_named=True)}
            for rate in sorted(FALSE_POSITIVE_RATES)
        )

    def measure(self, setting: Setting, confidence: float) -> Measured:
        """Work out what a setting does from the recorded figures; see :class:`Evidence`."""
        level = setting[ANY_PRODUCT]
        return Measured(
            false_positive_rate=self._false_positive_rate(level.rate, confidence),
            recall={name: self._recall(name, level, confidence) for name in self.families},
        )

    def by_product(self, setting: Setting, confidence: float) -> ByProduct:
        """Share out false positives by the rates of the products' own thresholds."""
        level = setting[ANY_PRODUCT]
        found = self.measure(setting, confidence)
        total = found.false_positive_rate
        thresholds = family_thresholds(self.bundle)
        rates = {name: rate_at(level.threshold, thresholds[name]) for name in self.families}
        every = max(sum(rates.values()), LEAST)
        shares = {
            name: min(total.value, total.value * rate / every) for name, rate in rates.items()
        }
        return ByProduct(
            false_positive_rate={
                name: Estimate(value=share, low=0.0, high=total.high)
                for name, share in shares.items()
            },
            recall=found.recall,
            looks_like={
                NO_PRODUCT: shares,
                **{name: {name: recall.value} for name, recall in found.recall.items()},
            },
        )

    def _false_positive_rate(self, rate: float, confidence: float) -> Estimate:
        fitted = self.bundle.calibration
        as_named = exact_interval(rate, fitted.negatives, confidence) if fitted else UNKNOWN
        measured = self.bundle.evaluation
        if measured is None:
            return Estimate(value=rate, low=as_named.low, high=as_named.high)
        flagged = measured.flagged_negatives
        seen = exact_interval(flagged, measured.negatives, confidence)
        if rate == DEFAULT_RATE:
            return seen
        factor, most = flagged / DEFAULT_RATE, max(1.0, seen.high / DEFAULT_RATE)
        return Estimate(
            value=min(1.0, rate * factor),
            low=min(as_named.low, rate * factor),
            high=min(1.0, max(as_named.high, rate) * most),
        )

    def _recall(self, family: str, level: Level, confidence: float) -> Estimate:
        if level.rate == DEFAULT_RATE and family in self._measured_leads:
            leads, photos = self._measured_leads[family]
            return exact_interval(leads / photos, photos, confidence)
        evidence = next(f.evidence for f in self.bundle.families if f.name == family)
        if evidence is None or not evidence.test.photos or not evidence.recall:
            return UNKNOWN
        found = {
            rate: exact_interval(evidence.recall[rate].value, evidence.test.photos, confidence)
            for rate in FALSE_POSITIVE_RATES
        }
        own = family_thresholds(self.bundle)[family]
        looser = [found[r].high for r in FALSE_POSITIVE_RATES if own[r] <= level.threshold]
        stricter = [found[r].low for r in FALSE_POSITIVE_RATES if own[r] >= level.threshold]
        rates = sorted(FALSE_POSITIVE_RATES)
        value = np.interp(
            math.log10(rate_at(level.threshold, own)),
            [math.log10(rates[0]) - 1, *np.log10(rates)],
            [0.0, *(found[rate].value for rate in rates)],
        )
        return Estimate(
            value=float(value), low=max(stricter, default=0.0), high=min(looser, default=1.0)
        )

    def caveats(self) -> Iterator[str]:
        """Yield caveats; see :class:`Evidence`."""
        yield (
            "From the bundle's own figures: give labelled photos (--data) for thresholds by "
            "product and between the named ones, and for intervals that allow for sources."
        )
        yield (
            "Recall is interpolated between the thresholds that were measured, and taken to fall "
            "to nothing by a tenth of the lowest false-positive rate among them."
        )
        measured = self.bundle.evaluation
        if measured is None:
            yield "False-positive rates are as named, not measured."
        else:
            yield (
                f"The default policy made {measured.flagged_negatives:.2%} of the "
                f"{measured.negatives:,} test photos without a product leads, from "
                f"{measured.negative_sources} new sources, where its threshold was set for "
                f"{DEFAULT_RATE:.0%}; all rates are taken to be off by that factor."
            )


def rate_at(threshold: float, thresholds: Mapping[float, float]) -> float:
    """Return the false-positive rate of a threshold, by interpolation between the named ones."""
    rates = sorted(FALSE_POSITIVE_RATES, reverse=True)
    x = log_odds(np.array([thresholds[rate] for rate in rates]))
    y = np.log(rates)
    place = log_odds(np.array([threshold]))[0]
    if place <= x[-1]:
        return float(np.exp(np.interp(place, x, y)))
    slope = (y[-1] - y[-2]) / max(x[-1] - x[-2], LEAST)
    return float(np.exp(y[-1] + slope * (place - x[-1])))
