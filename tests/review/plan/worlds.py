"""Worlds in which everything is known, so that it can be computed what a plan should say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from recognizer.model.bundle import Bundle
from recognizer.policy import FALSE_POSITIVE_RATES
from recognizer.review.plan import ScoredPhoto, ScoredPhotos, Workload
from recognizer.review.plan.evidence import NO_PRODUCT, Setting, level_of

RELEASED = Path(__file__).parents[3] / "export" / "wildlife-v5"
FAMILIES = ("ivory", "big_cat", "feather")
PREVALENCE = {"ivory": 0.0006, "big_cat": 0.0003, "feather": 0.0001}


SOURCES = {NO_PRODUCT: 40, "ivory": 10, "big_cat": 5, "feather": 1}


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

        def named(values: np.ndarray) -> dict[float, float]:
            return {r: float(expit(np.quantile(values, 1 - r))) for r in FALSE_POSITIVE_RATES}

        self.thresholds = {name: named(tame[:, i]) for i, name in enumerate(FAMILIES)}
        self.any_product = named(tame.max(axis=1))

    def draw(
        self,
        rng: np.random.Generator,
        sources: Mapping[str, int] = SOURCES,
        photos: int = 6,
    ) -> ScoredPhotos:
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
        return ScoredPhotos(
            origin="a simulation",
            thresholds=self.thresholds,
            any_product=self.any_product,
            scores=np.concatenate(scores),
            shown=np.array(shown),
            sources=np.array(names),
        )

    def truth(self, setting: Setting) -> tuple[float, dict[str, float]]:
        """Return the false-positive rate, and the recall of each product."""
        limits = logit([level_of(setting, family).threshold for family in FAMILIES])

        def leads(log_odds: np.ndarray) -> float:
            return float(1 - np.prod(expit(limits - log_odds), axis=1).mean())

        recall = {}
        for i, family in enumerate(FAMILIES):
            shifted = self.sources - 6
            shifted[:, i] += self.shifts
            recall[family] = leads(shifted)
        return leads(self.sources - 6), recall


def workload(**changes: Any) -> Workload:
    usual = Workload(
        photos_per_day=10_000, prevalence=PREVALENCE, reviewers=1, cases_per_reviewer=400
    )
    return replace(usual, **changes)


@cache
def world_of(spread: float) -> World:
    return World(spread)


def photo(bundle: Bundle, label: str, score: float) -> ScoredPhoto:
    families = {family.name: score for family in bundle.families}
    return ScoredPhoto(sha256="ab", label=label, source="s, t", families=families)
