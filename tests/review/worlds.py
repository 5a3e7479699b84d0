"""Worlds in which everything is known, so that it can be computed what a choice should say."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from scipy.special import expit, logit

from recognizer.policy import FALSE_POSITIVE_RATES
from recognizer.review.thresholds import NO_PRODUCT, LabelledPhotos

RELEASED = Path(__file__).parents[2] / "export" / "wildlife-v5"
FAMILIES = ("ivory", "big_cat", "feather")
PREVALENCE = 0.001
SOURCES = {NO_PRODUCT: 40, "ivory": 10, "big_cat": 5, "feather": 1}
DAY = 10_000


class World:
    """Sources whose photos are alike: log-odds with an effect of the source and one of the photo.

    Thresholds were set where sources differ less, so that more passes them than their rates say.
    """

    def __init__(self, spread: float) -> None:
        rng = np.random.default_rng(0)
        self.spread = spread
        self.sources = rng.normal(0, spread, (20_000, 3))
        self.shifts = rng.normal(8, 1.5 * spread, 20_000)
        tame = rng.normal(-6, 0.3 * spread, (200_000, 3)) + rng.logistic(size=(200_000, 3))
        highest = tame.max(axis=1)
        self.named = {r: float(expit(np.quantile(highest, 1 - r))) for r in FALSE_POSITIVE_RATES}

    def draw(
        self,
        rng: np.random.Generator,
        sources: Mapping[str, int] = SOURCES,
        photos: int = 6,
    ) -> LabelledPhotos:
        """Return labelled photos of new sources, those without a product four times as large."""
        scores, shown, names = [], [], []
        for family, number in sources.items():
            for source in range(number):
                count = int(rng.geometric(1 / (photos if family else 4 * photos)))
                values = rng.normal(-6, self.spread, 3) + rng.logistic(size=(count, 3))
                if family:
                    values[:, FAMILIES.index(family)] += rng.normal(8, 1.5 * self.spread)
                scores.append(expit(values))
                shown += [family] * count
                names += [f"{family}/{source}"] * count
        return LabelledPhotos(
            origin="a simulation",
            families=FAMILIES,
            named=self.named,
            scores=np.concatenate(scores).max(axis=1),
            shown=np.array(shown),
            sources=np.array(names),
            images=DAY,
            prevalence=PREVALENCE,
        )

    def truth(self, threshold: float) -> tuple[float, dict[str, float]]:
        """Return the false-positive rate, and the recall of each product."""

        def leads(log_odds: np.ndarray) -> float:
            return float(1 - np.prod(expit(logit(threshold) - log_odds), axis=1).mean())

        recall = {}
        for i, family in enumerate(FAMILIES):
            shifted = self.sources - 6
            shifted[:, i] += self.shifts
            recall[family] = leads(shifted)
        return leads(self.sources - 6), recall


@cache
def world_of(spread: float) -> World:
    return World(spread)
