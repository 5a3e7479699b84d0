"""The figures of one label, one family, one source.

Negatives are all photos that show no product; photos of other products count neither way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from recognizer.dataset.manifest import Photo
from recognizer.evaluation.metrics import (
    CalibrationBin,
    Ranking,
    bootstrap,
    calibration_bins,
    expected_calibration_error,
    recall_at_fpr,
    share,
)
from recognizer.evaluation.thresholds import MAX_FOR_RANKS, ranks_of
from recognizer.model.evidence import Estimate
from recognizer.policy import FALSE_POSITIVE_RATES
from recognizer.taxonomy import load_taxonomy

MIN_FOR_CALIBRATION = 30
"""Positives below which no calibration error is given: it would measure chance."""

SOURCE_RATE = 0.01
"""The false-positive rate at which results are given by source."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What photos show, as arrays.

    Attributes:
        labels: (N,) true labels.
        sources: (N,) their sources.
        negative: bool, (N,): no product.
    """

    labels: NDArray[np.str_]
    sources: NDArray[np.str_]
    negative: NDArray[np.bool_]

    @classmethod
    def of(cls, photos: Sequence[Photo]) -> Truth:
        """Return the truth of photos."""
        return cls(
            labels=np.array([p.label for p in photos]),
            sources=np.array([p.source for p in photos]),
            negative=np.array([not p.is_product for p in photos], bool),
        )

    def of_family(self, name: str) -> NDArray[np.bool_]:
        """Return which photos show a product of the family, known to a model or not, (N,)."""
        return np.isin(self.labels, [label.name for label in load_taxonomy().members(name)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How well one label or family is told from the negatives.

    Attributes:
        name: label or family.
        photos: positives.
        sources: of the positives: the number that counts.
        average_precision: area under the precision-recall curve; None without positives.
        area_under_roc: None without positives.
        recall: false-positive rate -> recall, with the threshold taken as fixed.
        ranks: the place of each positive among the negatives, 1 being above all; highest first.
            Empty with more than :data:`MAX_FOR_RANKS` positives.
        calibration: predicted and observed, over the positives and *all* other photos; empty with
            fewer than :data:`MIN_FOR_CALIBRATION` positives.
        calibration_error: expected calibration error; None if :attr:`calibration` is empty.
    """

    name: str
    photos: int = 0
    sources: int = 0
    average_precision: Estimate | None = None
    area_under_roc: Estimate | None = None
    recall: Mapping[float, Estimate] = field(default_factory=dict)
    ranks: tuple[int, ...] = ()
    calibration: tuple[CalibrationBin, ...] = ()
    calibration_error: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCount:
    """How many photos of one source are over a threshold, as a number and as a share."""

    source: str
    photos: int
    over: int
    share: Estimate


def figures_of(
    name: str,
    positive: NDArray[np.bool_],
    scores: NDArray[np.float64] | None,
    truth: Truth,
    *,
    rounds: int,
    group_by_source: bool = False,
    calibrated: bool = False,
) -> Figures:
    """Measure how well positives are told from negatives.

    Args:
        name: what the positives show.
        positive: bool, (N,).
        scores: (N,); None if the model does not know the name.
        truth: of the N photos; those that are neither positive nor negative count only against the
            calibration.
        rounds: bootstrap rounds.
        group_by_source: let the bootstrap draw whole sources.
        calibrated: whether scores are probabilities, whose calibration can be measured.
    """
    photos, sources = int(positive.sum()), len(set(truth.sources[positive]))
    if scores is None or not photos:
        return Figures(name=name, photos=photos, sources=sources)
    used = positive | truth.negative
    estimate = partial(
        bootstrap,
        positive=positive[used],
        scores=scores[used],
        rounds=rounds,
        groups=truth.sources[used] if group_by_source else None,
    )
    recall = partial(recall_at_fpr, positive[used], scores[used])
    calibrated = calibrated and photos >= MIN_FOR_CALIBRATION
    return Figures(
        name=name,
        photos=photos,
        sources=sources,
        average_precision=estimate(Ranking.average_precision),
        area_under_roc=estimate(Ranking.area_under_roc),
        recall={
            rate: share(round(photos * recall(rate=rate)), photos) for rate in FALSE_POSITIVE_RATES
        },
        ranks=ranks_of(scores[positive], scores[truth.negative]) if photos <= MAX_FOR_RANKS else (),
        calibration=calibration_bins(positive, scores) if calibrated else (),
        calibration_error=expected_calibration_error(positive, scores, rounds=rounds)
        if calibrated
        else None,
    )


def count_by_source(sources: NDArray[np.str_], over: NDArray[np.bool_]) -> tuple[SourceCount, ...]:
    """Return the counts of each source, the largest first.

    Args:
        sources: (N,).
        over: bool, (N,): whether a photo is over the threshold.
    """
    photos, found = Counter(sources.tolist()), Counter(sources[over].tolist())
    return tuple(
        SourceCount(source=name, photos=count, over=found[name], share=share(found[name], count))
        for name, count in sorted(photos.items(), key=lambda item: (-item[1], item[0]))
    )
