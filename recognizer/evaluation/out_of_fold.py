"""Measure a recipe by its out-of-fold predictions, calibrated on those of the other folds."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from recognizer.dataset.manifest import taxonomy_of
from recognizer.dataset.out_of_fold import OutOfFold
from recognizer.errors import DatasetError
from recognizer.evaluation.calibrate import calibrated, uncalibrated
from recognizer.evaluation.evaluate import Evaluation, default_verdicts, measure
from recognizer.imaging import PREPROCESSING_VERSION
from recognizer.model.bundle import Bundle
from recognizer.model.description import InputFormat, ModelFile
from recognizer.policy import Verdict
from recognizer.prediction import Prediction
from recognizer.status import Status


def measure_out_of_fold(
    found: OutOfFold, title: str, *, rounds: int = 1000, group_by_source: bool = False
) -> Evaluation:
    """Measure out-of-fold predictions, calibrated across folds; ``title`` is for the tables."""
    numbers = sorted(set(found.folds.tolist()))
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
    predictions: dict[int, Prediction] = {}
    verdicts: dict[int, Verdict] = {}
    for number in numbers:
        inside = np.flatnonzero(found.folds == number).tolist()
        outside = np.flatnonzero(found.folds != number).tolist()
        bundle = calibrated(draft, found.log_odds[outside], [found.photos[i] for i in outside])
        own = _predict(bundle, found, inside)
        predictions.update(zip(inside, own, strict=True))
        verdicts.update(zip(inside, default_verdicts(bundle, own), strict=True))
    rows = range(len(found.photos))
    whole = measure(
        calibrated(draft, found.log_odds, found.photos),
        found.photos,
        [predictions[row] for row in rows],
        [verdicts[row] for row in rows],
        "out of fold",
        rounds=rounds,
        group_by_source=group_by_source,
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


def _predict(bundle: Bundle, found: OutOfFold, rows: Sequence[int]) -> list[Prediction]:
    scores = bundle.calibrate(found.log_odds[list(rows)])
    names = [family.name for family in bundle.families]
    return [
        Prediction(
            status=Status.OK,
            sha256=found.photos[row].sha256,
            scores=dict(zip(bundle.label_names, own.tolist(), strict=True)),
            families=dict(zip(names, families.tolist(), strict=True)),
        )
        for row, own, families in zip(rows, scores, bundle.family_scores(scores), strict=True)
    ]
