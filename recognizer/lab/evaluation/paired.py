"""Compare two bundles on the same photos, pair by pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from recognizer.lab.dataset.manifest import Photo, fingerprint
from recognizer.lab.evaluation.evaluate import targets
from recognizer.lab.evaluation.figures import COMPARED_RATE, Truth
from recognizer.lab.evaluation.learned import count_learned
from recognizer.lab.evaluation.metrics import Metric, RankedCounts, bootstrap, rank
from recognizer.model.bundle import Bundle
from recognizer.model.description import Estimate
from recognizer.prediction import Prediction

# In the order of the fields of PairedFigures; recall at the threshold that each bundle needs.
_METRICS: tuple[Metric, ...] = (
    RankedCounts.average_precision,
    partial(RankedCounts.recall_at, rate=COMPARED_RATE),
)


@dataclass(frozen=True, slots=True)
class PairedChange:
    """A figure of both bundles, and now - before with its paired bootstrap interval by source."""

    before: float
    now: float
    difference: Estimate


@dataclass(frozen=True, slots=True)
class PairedFigures:
    """Two bundles on one family, or on any product; recall is at :data:`COMPARED_RATE`."""

    name: str
    photos: int
    sources: int
    average_precision: PairedChange
    recall: PairedChange


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedEvaluation:
    """Two bundles on one split: any product, then each family that both know and photos show.

    ``data`` is the photos' fingerprint, ``learned`` :func:`count_learned` of them for each bundle.
    """

    bundle: str
    against: str
    split: str
    data: str
    learned: Mapping[str, int | None]
    negatives: int
    families: tuple[PairedFigures, ...]


def compare(
    bundle: Bundle,
    against: Bundle,
    split: str,
    photos: Sequence[Photo],
    predictions: Sequence[Prediction],
    against_predictions: Sequence[Prediction],
    *,
    rounds: int = 1000,
    titles: Sequence[str] = (),
) -> PairedEvaluation:
    """Compare two bundles by their predictions of the same photos, in order; see ``measure``."""
    both, titles = (bundle, against), titles or (bundle.title, against.title)
    truth = Truth.of(photos)
    earlier = {t.name: t.scores for t in targets(against, truth, against_predictions)}
    found = []
    for target in targets(bundle, truth, predictions):
        if target.name not in earlier or not target.positive.any():
            continue
        used = target.positive | truth.negative
        positive, sources = target.positive[used], truth.sources[used]
        before, now = earlier[target.name][used], target.scores[used]
        drawn = bootstrap(_METRICS, positive, now, sources, against=before, rounds=rounds)
        ranked = rank(positive, before), rank(positive, now)
        changes = [
            PairedChange(float(metric(ranked[0])), float(metric(ranked[1])), difference)
            for metric, difference in zip(_METRICS, drawn, strict=True)
        ]
        counts = int(positive.sum()), len(np.unique(sources[positive]))
        found.append(PairedFigures(target.name, *counts, *changes))
    return PairedEvaluation(
        bundle=titles[0],
        against=titles[1],
        split=split,
        data=fingerprint(photos),
        learned={t: count_learned(b, photos) for t, b in zip(titles, both, strict=True)},
        negatives=int(truth.negative.sum()),
        families=tuple(found),
    )
