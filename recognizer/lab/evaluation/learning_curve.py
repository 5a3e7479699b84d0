"""Learning curves: recall over the number of sources, on sources that are left out in turn."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recognizer.errors import DatasetError
from recognizer.lab.dataset.manifest import Photo
from recognizer.lab.evaluation.evaluate import ANY_PRODUCT
from recognizer.lab.evaluation.figures import COMPARED_RATE, Truth
from recognizer.lab.evaluation.metrics import bootstrap_by_source
from recognizer.lab.evaluation.out_of_fold import OutOfFold
from recognizer.lab.evaluation.thresholds import threshold_at_fpr
from recognizer.model.description import Estimate

SHARES = (0.125, 0.25, 0.5, 1.0)  # of the sources of each label
_DRAWS = 2  # of which sources these are
_MIN_SOURCES = 8  # of a family, with fewer of which there is no curve

Fit: TypeAlias = Callable[[NDArray[np.bool_], NDArray[np.bool_]], NDArray[np.float32]]
"""From the photos to learn from and those to score, (N,), to the latter's logits, (M, labels)."""


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Recall at :data:`COMPARED_RATE` by the number of sources, the largest last.

    ``twice`` is that of twice as many, if recall goes on along a line for each doubling.
    """

    name: str
    sources: tuple[int, ...]
    recall: tuple[Estimate, ...]
    twice: Estimate


def measure_learning_curves(
    held: OutOfFold, fit: Fit, on_progress: Callable[[int, int], None]
) -> list[LearningCurve]:
    """Measure recall with shares of the sources of each label, for any product and each family.

    A smaller share is part of the larger ones. Each photo is scored by what has seen nothing of its
    fold. No target with enough sources is a DatasetError.
    """
    truth = Truth.of(held.photos)
    targets = {ANY_PRODUCT: ~truth.negative}
    targets |= {name: truth.of_family(name) for name in truth.taxonomy.families}
    targets = {n: of for n, of in targets.items() if len({*truth.sources[of]}) >= _MIN_SOURCES}
    if not targets or not truth.negative.any():
        raise DatasetError(f"a curve needs products of {_MIN_SOURCES} sources, and other photos")
    hits = {name: np.zeros((int(of.sum()), len(SHARES))) for name, of in targets.items()}
    steps = [(c, draw) for c, s in enumerate(SHARES) for draw in range(_DRAWS if s < 1 else 1)]
    logits = np.zeros((len(held.photos), len(held.labels)), np.float32)
    for done, (column, draw) in enumerate(steps):
        kept = some_sources(held.photos, SHARES[column], draw)
        for fold in np.unique(held.folds):
            on_progress(done, len(steps))
            logits[held.folds == fold] = fit(kept & (held.folds != fold), held.folds == fold)
        for name, of in targets.items():
            inside = np.isin(held.labels, truth.labels[of])
            products, others = (np.logaddexp.reduce(logits[:, m], 1) for m in (inside, ~inside))
            scores = products - others
            over = scores[of] > threshold_at_fpr(scores[truth.negative], COMPARED_RATE)
            hits[name][:, column] += over / (_DRAWS if SHARES[column] < 1 else 1)
    return [curve_of(name, hits[name], truth.sources[of]) for name, of in targets.items()]


def some_sources(photos: Sequence[Photo], share: float, draw: int) -> NDArray[np.bool_]:
    """Return which photos are of a share of each label's sources, (N,); at least one is left."""
    sources = defaultdict[str, set[str]](set)
    for photo in photos:
        sources[photo.label].add(photo.source)
    rng, kept = np.random.default_rng(draw), dict[str, set[str]]()
    for label, own in sorted(sources.items()):
        order = rng.permutation(sorted(own)).tolist()
        kept[label] = {*order[: max(1, round(share * len(order)))]}
    return np.array([photo.source in kept[photo.label] for photo in photos])


def curve_of(name: str, hits: NDArray[np.float64], sources: NDArray[np.str_]) -> LearningCurve:
    """Return the curve of P positives of several sources, found in ``hits``, (P, shares)."""
    ahead = np.array([-0.5, 0.0, 0.5, 1.0])  # to the line of least squares, a doubling further

    def estimate(weights: NDArray[np.float64]) -> Estimate:
        def recall(found: NDArray[Any], counts: NDArray[np.int64]) -> NDArray[np.float64]:
            return np.asarray(np.clip(counts @ found / counts.sum(axis=1), 0.0, 1.0))

        found = bootstrap_by_source(hits @ weights, sources, recall)
        assert found is not None  # noqa: S101 - there are several sources
        return found

    counts = tuple(max(1, round(share * len(np.unique(sources)))) for share in SHARES)
    return LearningCurve(name, counts, tuple(map(estimate, np.eye(len(SHARES)))), estimate(ahead))
