"""Measure a recipe by its out-of-fold predictions.

Each photo was scored by a run that left out its source. Its calibration and thresholds leave the
fold out, too: they come from the predictions of the other folds. So the figures say what a model
of the recipe finds, and sends to review, at sources that nobody has seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recognizer.dataset.manifest import taxonomy_of
from recognizer.dataset.out_of_fold import OutOfFold
from recognizer.decision import decide
from recognizer.errors import DatasetError
from recognizer.evaluation.calibrate import calibrated, uncalibrated
from recognizer.evaluation.evaluate import Evaluation, measure
from recognizer.imaging import PREPROCESSING_VERSION
from recognizer.model.bundle import Bundle
from recognizer.model.description import InputFormat, ModelFile
from recognizer.policy import Policy, Verdict
from recognizer.prediction import Prediction
from recognizer.status import Status

SPLIT_CAVEATS = (
    "Photos of sources that the run which scored them never saw. Calibration and thresholds are "
    "those of the other folds; only the table of thresholds below uses those of all folds."
)
"""What the figures mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldEvaluation:
    """The figures over all folds, and those of each fold with photos without a product."""

    whole: Evaluation
    folds: Mapping[int, Evaluation]


def measure_out_of_fold(
    found: OutOfFold, title: str, *, rounds: int = 1000, group_by_source: bool = False
) -> FoldEvaluation:
    """Measure out-of-fold predictions, calibrated across folds.

    Args:
        found: the predictions.
        title: what the tables call them.
        rounds: bootstrap rounds behind the intervals.
        group_by_source: let the bootstrap draw whole sources.
    """
    numbers = sorted(set(found.folds.tolist()))
    if len(numbers) < 2:
        raise DatasetError(f"{title}: {len(numbers)} folds; at least 2 are needed")
    draft = _draft(found)
    predictions: dict[int, Prediction] = {}
    verdicts: dict[int, Verdict] = {}
    folds = {}
    for number in numbers:
        inside = np.flatnonzero(found.folds == number)
        outside = np.flatnonzero(found.folds != number)
        bundle = calibrated(
            draft, found.log_odds[outside], [found.photos[i] for i in outside.tolist()]
        )
        for row, prediction in zip(inside.tolist(), _predict(bundle, found, inside), strict=True):
            predictions[row] = prediction
            verdicts[row] = decide(prediction, bundle, Policy())
        photos = [found.photos[i] for i in inside.tolist()]
        if any(not p.is_product for p in photos):
            evaluation = measure(
                bundle,
                photos,
                [predictions[i] for i in inside.tolist()],
                f"fold {number}",
                rounds,
                group_by_source=group_by_source,
            )
            folds[number] = replace(evaluation, bundle=title)
    whole = measure(
        calibrated(draft, found.log_odds, found.photos),
        found.photos,
        [predictions[i] for i in range(len(found.photos))],
        "out of fold",
        rounds,
        group_by_source=group_by_source,
        verdicts=[verdicts[i] for i in range(len(found.photos))],
    )
    return FoldEvaluation(whole=replace(whole, bundle=title), folds=folds)


def _draft(found: OutOfFold) -> Bundle:
    return uncalibrated(
        found.labels,
        taxonomy_of(found.photos),
        path=Path(),
        name="out-of-fold",
        version=1,
        model=ModelFile(sha256=""),
        input=InputFormat(size=found.input_size, preprocessing=PREPROCESSING_VERSION),
        activation=found.activation,
    )


def _predict(bundle: Bundle, found: OutOfFold, rows: NDArray[np.intp]) -> list[Prediction]:
    scores = bundle.calibrate(found.log_odds[rows])
    names = [family.name for family in bundle.families]
    return [
        Prediction(
            status=Status.OK,
            sha256=found.photos[row].sha256,
            scores=dict(zip(bundle.label_names, own.tolist(), strict=True)),
            families=dict(zip(names, families.tolist(), strict=True)),
        )
        for row, own, families in zip(
            rows.tolist(), scores, bundle.family_scores(scores), strict=True
        )
    ]
