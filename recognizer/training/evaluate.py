"""Measure a bundle on photos from sources that training never saw.

It runs the ONNX file that ships, by the road that serving takes. Negatives are all photos that
are no product; photos of other products count neither way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognizer.bundle import FALSE_ALARM_RATES, Bundle
from recognizer.errors import DatasetError
from recognizer.policy import Decision, Policy, decide
from recognizer.prediction import Prediction
from recognizer.recognizer import Recognizer
from recognizer.taxonomy import Kind, load_taxonomy
from recognizer.training.data import Photo, fingerprint
from recognizer.training.metrics import (
    Estimate,
    area_under_roc,
    average_precision,
    bootstrap,
    recall_at_false_alarm_rate,
)

_CHUNK = 32


@dataclass(frozen=True, slots=True)
class Figures:
    """How well one label or family is told from everything that is no product.

    Attributes:
        name: label or family.
        photos: positives.
        sources: where they come from: the number that counts.
        average_precision: area under the precision-recall curve; None without positives.
        area_under_roc: None without positives.
        recall: false-alarm rate -> share of the positives found at it.
    """

    name: str
    photos: int
    sources: int
    average_precision: Estimate | None
    area_under_roc: Estimate | None
    recall: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All figures of a bundle on one split.

    Attributes:
        bundle: title of the bundle.
        digest: sha256 of its model.
        split: which photos.
        data: fingerprint of these photos.
        negatives: photos that are no product.
        negative_sources: their sources.
        families: figures of each family with more than one product in the bundle.
        labels: figures of each product of the taxonomy.
        flagged_negatives: share of the negatives that the default policy sends to review.
        accuracy: share of all photos whose label has the highest score of all.
    """

    bundle: str
    digest: str
    split: str
    data: str
    negatives: int
    negative_sources: int
    families: tuple[Figures, ...]
    labels: tuple[Figures, ...]
    flagged_negatives: Estimate
    accuracy: float

    def to_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"


def score_photos(
    recognizer: Recognizer,
    photos: Sequence[Photo],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
    threads: int = 2,
) -> list[Prediction]:
    """Score photos through the engine, in order.

    Raises:
        DatasetError: a photo cannot be decoded, or its bytes are not those of the manifest.
    """
    chunks = [photos[i : i + _CHUNK] for i in range(0, len(photos), _CHUNK)]
    predictions: list[Prediction] = []
    with ThreadPoolExecutor(threads) as pool:
        for found in pool.map(partial(_score_chunk, recognizer), chunks):
            predictions += found
            on_progress(len(predictions), len(photos))
    return predictions


def _score_chunk(recognizer: Recognizer, photos: Sequence[Photo]) -> list[Prediction]:
    found = list(recognizer.predict_many([p.path for p in photos]))
    for photo, prediction in zip(photos, found, strict=True):
        if not prediction.scores:
            raise DatasetError(f"{photo.path}: {prediction.reason}: {prediction.detail}")
        if prediction.sha256 != photo.sha256:
            raise DatasetError(f"{photo.path} is not the file of the manifest: other sha256")
    return found


def evaluate(
    recognizer: Recognizer,
    photos: Sequence[Photo],
    split: str,
    *,
    rounds: int = 1000,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Evaluation:
    """Measure a bundle.

    Args:
        recognizer: the loaded bundle.
        photos: all photos; those of ``split`` are used.
        split: ``test`` or ``validation``.
        rounds: bootstrap rounds behind the intervals.
        on_progress: called with the photos done and their number.

    Raises:
        DatasetError: the split has no negatives, or a photo cannot be read.
    """
    photos = [p for p in photos if p.split == split]
    predictions = score_photos(recognizer, photos, on_progress)
    return measure(recognizer.bundle, photos, predictions, split, rounds)


def measure(
    bundle: Bundle,
    photos: Sequence[Photo],
    predictions: Sequence[Prediction],
    split: str,
    rounds: int = 1000,
) -> Evaluation:
    """Compute the figures from predictions that are there already. See :func:`evaluate`."""
    taxonomy = load_taxonomy()
    truth = np.array([p.label for p in photos])
    sources = np.array([p.source for p in photos])
    negative = np.array([taxonomy.labels[p.label].kind is not Kind.PRODUCT for p in photos])
    if not negative.any():
        raise DatasetError(f"no negatives in the split {split!r}")
    figures = partial(_figures, truth, sources, negative, rounds)
    products = [label.name for label in taxonomy.products]
    score = {
        name: np.array([p.scores[name] for p in predictions])
        for name in bundle.label_names
        if name in products
    }
    policy = Policy()
    flagged = np.array(
        [decide(p, bundle, policy).decision is not Decision.CLEAR for p in predictions]
    )
    best = np.array([max(p.scores, key=p.scores.__getitem__) for p in predictions])
    return Evaluation(
        bundle.title,
        bundle.digest,
        split,
        fingerprint(photos),
        int(negative.sum()),
        len(set(sources[negative])),
        tuple(
            figures(
                family.name,
                tuple(label.name for label in taxonomy.members(family.name)),
                np.array([p.families[family.name] for p in predictions]),
            )
            for family in bundle.families
            if len(family.members) > 1
        ),
        tuple(figures(name, (name,), score.get(name)) for name in products),
        _share(flagged[negative], rounds),
        float((best == truth).mean()),
    )


def _figures(
    truth: NDArray[np.str_],
    sources: NDArray[np.str_],
    negative: NDArray[np.bool_],
    rounds: int,
    name: str,
    members: Sequence[str],
    scores: NDArray[np.float64] | None,
) -> Figures:
    positive = np.isin(truth, members)
    photos, places = int(positive.sum()), len(set(sources[positive]))
    if scores is None or not photos:
        return Figures(name, photos, places, None, None, {})
    used = positive | negative
    estimate = partial(bootstrap, positive=positive[used], scores=scores[used], rounds=rounds)
    return Figures(
        name,
        photos,
        places,
        estimate(average_precision),
        estimate(area_under_roc),
        {
            rate: estimate(partial(recall_at_false_alarm_rate, rate=float(rate)))
            for rate in FALSE_ALARM_RATES
        },
    )


def _share(hits: NDArray[np.bool_], rounds: int) -> Estimate:
    rng = np.random.default_rng(0)
    means = rng.binomial(len(hits), hits.mean(), rounds) / len(hits)
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(hits.mean()), float(low), float(high))


def all_figures(evaluation: Evaluation) -> Iterator[Figures]:
    """Yield the figures of the families, then those of the products."""
    yield from evaluation.families
    yield from evaluation.labels


def evidence(figures: Figures, train: Sequence[Photo], members: Sequence[str]) -> dict[str, Any]:
    """Return what ``bundle.json`` records behind a label or family.

    Args:
        figures: measured on the test split.
        train: the photos that the model was trained on.
        members: the labels that count.
    """
    real = [p for p in train if p.label in members and p.is_evidence]
    rendered = sum(p.label in members and p.is_synthetic for p in train)
    patches = sum(p.label in members and p.is_patch for p in train)
    return {
        "train": {
            "photos": len(real),
            "sources": len({p.source for p in real}),
            "rendered": rendered,
            "patches": patches,
        },
        "test": {"photos": figures.photos, "sources": figures.sources},
        "average_precision": _rounded(figures.average_precision),
        "area_under_roc": _rounded(figures.area_under_roc),
        "recall_at_false_alarm_rate": {
            rate: _rounded(estimate) for rate, estimate in figures.recall.items()
        },
    }


def _rounded(estimate: Estimate | None) -> list[float] | None:
    if estimate is None:
        return None
    return [round(v, 4) for v in (estimate.value, estimate.low, estimate.high)]
