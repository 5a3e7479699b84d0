"""What a plan rests on: thresholds to choose from, and what is measured of them.

Labelled photos with their scores (:mod:`recognizer.review.plan.labelled`) are better evidence than
what a bundle says of itself (:mod:`recognizer.review.plan.recorded`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from recognizer.model.description import Estimate
from recognizer.policy import FALSE_POSITIVE_RATES, CandidateKind
from recognizer.taxonomy import Kind, Taxonomy

if TYPE_CHECKING:
    from recognizer.model.bundle import Bundle

ANY_PRODUCT = "any product"
"""The rule for every product without a rule of its own."""

NO_PRODUCT = ""
"""What a photo shows that shows no product."""

_STEPS = 4  # thresholds for each power of ten of the false-positive rate
_STRICTEST = 1e-5  # no set of photos of today's size has five negatives over that
LEAST = 1e-9  # log-odds are taken of probabilities at least this far from 0 and 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A threshold that a rule may have.

    Attributes:
        threshold: calibrated probability.
        rate: the false-positive rate that it was set for, between the bundle's named ones by
            interpolation.
        is_named: whether the bundle holds it.
    """

    threshold: float
    rate: float
    is_named: bool


Setting = Mapping[str, Level]
"""Rule -> its level: products with a rule of their own, and :data:`ANY_PRODUCT`."""


def level_of(setting: Setting, family: str) -> Level:
    """Return the level that holds for a product."""
    return setting.get(family) or setting[ANY_PRODUCT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a setting does.

    Attributes:
        false_positive_rate: share of the photos without a product that become leads.
        recall: product shown -> share of its photos that become leads, for whatever reason.
    """

    false_positive_rate: Estimate
    recall: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class ByProduct:
    """What a setting does by product, as far as the bundle knows them.

    Attributes:
        false_positive_rate: product -> share of the photos without a product over its threshold.
        recall: product -> share of its photos over its threshold.
        looks_like: product shown, or :data:`NO_PRODUCT` -> product that its leads look most like
            -> share of all photos that show it.
    """

    false_positive_rate: Mapping[str, Estimate]
    recall: Mapping[str, Estimate]
    looks_like: Mapping[str, Mapping[str, float]]


class Evidence(Protocol):
    """What a plan needs to know of a bundle.

    Attributes:
        origin: where the figures come from, in words.
        families: the products of the bundle, as families.
        counts: product -> its photos and their sources; products that the bundle does not know
            are among them.
        negatives: photos without a product, and their sources.
    """

    @property
    def origin(self) -> str: ...  # noqa: D102 - see the class
    @property
    def families(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def counts(self) -> Mapping[str, tuple[int, int]]: ...  # noqa: D102
    @property
    def negatives(self) -> tuple[int, int]: ...  # noqa: D102

    def settings(self, prevalence: Mapping[str, float], *, by_product: bool) -> tuple[Setting, ...]:
        """Return the settings that the evidence allows to choose from.

        Args:
            prevalence: product -> share of all photos that show it.
            by_product: whether products may have rules of their own.

        Returns:
            The strictest first; whatever is a lead in one is a lead in all that follow.
        """
        ...

    def measure(self, setting: Setting, confidence: float) -> Measured:
        """Measure a setting; ``confidence`` is that of each interval."""
        ...

    def by_product(self, setting: Setting, confidence: float) -> ByProduct:
        """Measure a setting product by product; ``confidence`` as for :meth:`measure`."""
        ...

    def caveats(self) -> Iterator[str]:
        """Yield what a reader must know of the figures, as sentences."""
        ...


def levels(thresholds: Mapping[float, float]) -> tuple[Level, ...]:
    """Return the named levels and those between and beyond, strictest first.

    Log-odds are interpolated over the logarithm of the rate: high scores fall off about
    exponentially (see :mod:`recognizer.evaluation.thresholds`).
    """
    rates = sorted(FALSE_POSITIVE_RATES)
    grid = [_STRICTEST]
    for rate in (rates[0], *rates[1:]):
        steps = max(1, round(_STEPS * math.log10(rate / grid[-1])))
        grid += np.geomspace(grid[-1], rate, steps + 1)[1:].tolist()
    x = np.log10(rates)
    y = log_odds(np.array([thresholds[rate] for rate in rates]))
    place = np.log10(grid)
    values = np.interp(place, x, y)
    beyond = place < x[0]
    values[beyond] = y[0] + (y[0] - y[1]) / (x[1] - x[0]) * (x[0] - place[beyond])
    found = []
    for rate, value in zip(grid, values, strict=True):
        named = next((r for r in rates if math.isclose(r, rate)), None)
        found.append(
            Level(
                threshold=round(1 / (1 + math.exp(-value)), 6)
                if named is None
                else thresholds[named],
                rate=rate if named is None else named,
                is_named=named is not None,
            )
        )
    return tuple(found)


def log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log-odds, those of 0 and 1 cut off."""
    inside = np.clip(probabilities, LEAST, 1 - LEAST)
    return np.asarray(np.log(inside) - np.log1p(-inside), np.float64)


def family_thresholds(bundle: Bundle) -> dict[str, Mapping[float, float]]:
    """Return family -> false-positive rate -> threshold on its score."""
    return {
        candidate.name: candidate.thresholds
        for candidate in bundle.candidates
        if candidate.kind is CandidateKind.FAMILY
    }


def family_shown(label: str, taxonomy: Taxonomy) -> str:
    """Return the family of a product's label; :data:`NO_PRODUCT` for any other label."""
    entry = taxonomy.labels[label]
    return str(entry.family) if entry.kind is Kind.PRODUCT else NO_PRODUCT
