"""Measure a recipe by its out-of-fold predictions, calibrated on those of the other folds."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognizer.errors import DatasetError
from recognizer.imaging import PREPROCESSING_VERSION
from recognizer.lab.dataset.manifest import Photo, taxonomy_of
from recognizer.lab.dataset.out_of_fold import OutOfFold
from recognizer.lab.evaluation.calibrate import calibrated, uncalibrated
from recognizer.lab.evaluation.evaluate import Evaluation, default_verdicts, measure
from recognizer.model.bundle import Bundle
from recognizer.model.description import InputFormat, ModelFile
from recognizer.policy.values import Verdict
from recognizer.prediction import Prediction
from recognizer.status import Status


def measure_out_of_fold(found: OutOfFold, title: str, **how: Any) -> Evaluation:
    """Measure out-of-fold predictions, calibrated across folds; ``title`` is for the tables.

    ``how`` is for :func:`measure`.
    """
    numbers = np.unique(found.folds)
    if len(numbers) < 2:
        raise DatasetError(f"{title}: {len(numbers)} folds; at least 2 are needed")
    draft = uncalibrated(
        found.labels,
        taxonomy_of(found.photos),
        path=Path(),
        name="out-of-fold",
        version=1,
        model=ModelFile(sha256=""),
        input=InputFormat(size=1, preprocessing=PREPROCESSING_VERSION),
        activation="softmax",
    )
    photos: list[Photo] = []
    predictions: list[Prediction] = []
    verdicts: list[Verdict] = []
    for number in numbers:
        inside = found.folds == number
        own, others = (list(compress(found.photos, rows)) for rows in (inside, ~inside))
        bundle = calibrated(draft, found.log_odds[~inside], others)
        said = _predict(bundle, own, found.log_odds[inside])
        photos += own
        predictions += said
        verdicts += default_verdicts(bundle, said)
    whole = measure(
        calibrated(draft, found.log_odds, found.photos),
        photos,
        predictions,
        verdicts,
        "out of fold",
        **how,
    )
    return replace(whole, bundle=title, same_sources=_same_sources(found))


def _same_sources(found: OutOfFold) -> tuple[str, ...]:
    """Return the labels, and their families, that have photos of one source in several folds."""
    folds = defaultdict[tuple[str, str], set[int]](set)
    for photo, fold in zip(found.photos, found.folds.tolist(), strict=True):
        folds[photo.label, photo.source].add(fold)
    labels = {label for (label, _), numbers in folds.items() if len(numbers) > 1}
    known = taxonomy_of(found.photos).labels
    return tuple(sorted(labels | {known[name].family or name for name in labels}))


def _predict(
    bundle: Bundle, photos: Sequence[Photo], log_odds: NDArray[np.float32]
) -> list[Prediction]:
    scores = bundle.calibrate(log_odds)
    names = [family.name for family in bundle.families]
    return [
        Prediction(
            status=Status.OK,
            sha256=photo.sha256,
            scores=dict(zip(bundle.label_names, own.tolist(), strict=True)),
            families=dict(zip(names, families.tolist(), strict=True)),
        )
        for photo, own, families in zip(photos, scores, bundle.family_scores(scores), strict=True)
    ]
