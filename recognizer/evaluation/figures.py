"""What is counted and measured for one label, one family, one source.

Negatives are all photos that are no product; photos of other products count neither way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
    recall_at_false_alarm_rate,
    share,
)
from recognizer.evaluation.thresholds import MOST_FOR_RANKS, ranks_of
from recognizer.model.evidence import Estimate
from recognizer.policy import FALSE_POSITIVE_RATES
from recognizer.taxonomy import Kind, load_taxonomy

FEWEST_FOR_CALIBRATION = 30
"""Positives below which no calibration error is given: it would measure chance."""

SOURCE_RATE = 0.01
"""The false-alarm rate at which results are told by source."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What photos show, as arrays.

    Attributes:
        labels: (N,) true labels.
        sources: (N,) where they come from.
        negative: bool, (N,): no product.
    """

    labels: NDArray[np.str_]
    sources: NDArray[np.str_]
    negative: NDArray[np.bool_]

    @classmethod
    def of(cls, photos: Sequence[Photo]) -> Truth:
        """Read it off the photos."""
        kinds = load_taxonomy().labels
        return cls(
            np.array([p.label for p in photos]),
            np.array([p.source for p in photos]),
            np.array([kinds[p.label].kind is not Kind.PRODUCT for p in photos]),
        )

    def of_family(self, name: str) -> NDArray[np.bool_]:
        """Return which photos show a product of the family, known to a model or not, (N,)."""
        return np.isin(self.labels, [label.name for label in load_taxonomy().members(name)])


@dataclass(frozen=True, slots=True)
class Figures:
    """How well one label or family is told from everything that is no product.

    Attributes:
        name: label or family.
        photos: positives.
        sources: where they come from: the number that counts.
        average_precision: area under the precision-recall curve; None without positives.
        area_under_roc: None without positives.
        recall: false-alarm rate -> share of the positives found at it, the threshold taken as
            fixed.
        ranks: of each positive, its place among the negatives, 1 being above all of them; highest
            first. Empty with more than :data:`MOST_FOR_RANKS` positives.
        calibration: predicted and observed, over the positives and *all* other photos; empty with
            fewer than :data:`FEWEST_FOR_CALIBRATION` positives.
        calibration_error: expected calibration error; None where :attr:`calibration` is empty.
    """

    name: str
    photos: int
    sources: int
    average_precision: Estimate | None
    area_under_roc: Estimate | None
    recall: Mapping[float, Estimate]
    ranks: tuple[int, ...] = ()
    calibration: tuple[CalibrationBin, ...] = ()
    calibration_error: Estimate | None = None


@dataclass(frozen=True, slots=True)
class SourceCount:
    """The photos of one source.

    Attributes:
        source: its name.
        photos: positives or negatives of it.
        over: those of them that are over the threshold.
        share: the same as a share.
    """

    source: str
    photos: int
    over: int
    share: Estimate


def figures_of(
    name: str,
    positive: NDArray[np.bool_],
    negative: NDArray[np.bool_],
    scores: NDArray[np.float64] | None,
    sources: NDArray[np.str_],
    rounds: int,
    group_by_source: bool,
) -> Figures:
    """Compute how well positives are told from negatives.

    Args:
        name: what the positives show.
        positive: bool, (N,).
        negative: bool, (N,); what is neither counts only against the calibration.
        scores: calibrated probabilities, (N,); None where the model does not know the name.
        sources: (N,).
        rounds: bootstrap rounds.
        group_by_source: let the bootstrap draw whole sources.
    """
    photos, places = int(positive.sum()), len(set(sources[positive]))
    if scores is None or not photos:
        return Figures(name, photos, places, None, None, {})
    used = positive | negative
    estimate = partial(
        bootstrap,
        positive=positive[used],
        scores=scores[used],
        rounds=rounds,
        groups=sources[used] if group_by_source else None,
    )
    recall = partial(recall_at_false_alarm_rate, positive[used], scores[used])
    return Figures(
        name,
        photos,
        places,
        estimate(Ranking.average_precision),
        estimate(Ranking.area_under_roc),
        {rate: share(round(photos * recall(rate=rate)), photos) for rate in FALSE_POSITIVE_RATES},
        ranks_of(scores[positive], scores[negative]) if photos <= MOST_FOR_RANKS else (),
    )


def calibrated_figures(
    truth: Truth,
    rounds: int,
    group_by_source: bool,
    name: str,
    positive: NDArray[np.bool_],
    scores: NDArray[np.float64] | None,
) -> Figures:
    """Compute :func:`figures_of` photos, with the calibration where there are photos enough.

    Args:
        truth: what the photos show.
        rounds: bootstrap rounds.
        group_by_source: let the bootstrap draw whole sources.
        name: what the positives show.
        positive: bool, (N,).
        scores: calibrated probabilities, (N,); None where the model does not know the name.
    """
    figures = figures_of(
        name, positive, truth.negative, scores, truth.sources, rounds, group_by_source
    )
    if scores is None or figures.photos < FEWEST_FOR_CALIBRATION:
        return figures
    return replace(
        figures,
        calibration=calibration_bins(positive, scores),
        calibration_error=expected_calibration_error(positive, scores, rounds=rounds),
    )


def count_by_source(sources: NDArray[np.str_], over: NDArray[np.bool_]) -> tuple[SourceCount, ...]:
    """Return for each source how many of its photos are over a threshold, the largest first.

    Args:
        sources: (N,).
        over: bool, (N,).
    """
    photos, found = Counter(sources.tolist()), Counter(sources[over].tolist())
    return tuple(
        SourceCount(source, count, found[source], share(found[source], count))
        for source, count in sorted(photos.items(), key=lambda item: (-item[1], item[0]))
    )
