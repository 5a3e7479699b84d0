"""Out-of-fold predictions: each photo scored by a run that left out its source.

``docs/training.md`` has the columns of the Parquet file. The metadata of its schema has, under
``recognizer.out_of_fold``, a JSON object with ``schema`` (1), ``labels`` in order, and
``taxonomy``, which describes custom labels.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognizer._files import replacing
from recognizer.errors import DatasetError, MissingExtraError
from recognizer.imaging import PREPROCESSING_VERSION
from recognizer.lab.dataset.manifest import Photo, taxonomy_of
from recognizer.lab.evaluation.calibrate import calibrated, uncalibrated
from recognizer.lab.evaluation.evaluate import Evaluation, default_triages, measure
from recognizer.model.bundle import Bundle
from recognizer.model.description import InputFormat, ModelFile
from recognizer.policy.values import Triage
from recognizer.prediction import Prediction
from recognizer.status import Status
from recognizer.taxonomy import load_taxonomy

SCHEMA = 1
_KEY = b"recognizer.out_of_fold"
_TEXTS = ("sha256", "source", "label")
_PREFIX = "log_odds."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutOfFold:
    """Out-of-fold predictions of N photos, which need no file.

    ``folds`` is (N,), from 0; ``log_odds``, before calibration, (N, labels).
    """

    photos: Sequence[Photo]
    folds: NDArray[np.int16]
    labels: Sequence[str]
    log_odds: NDArray[np.float32]


def write_out_of_fold(found: OutOfFold, path: Path) -> None:
    """Write the file in one step."""
    parquet, pyarrow = import_pyarrow()
    arrays = {name: pyarrow.array([getattr(p, name) for p in found.photos]) for name in _TEXTS}
    arrays["fold"] = pyarrow.array(found.folds.astype(np.int16))
    for label, column in zip(found.labels, found.log_odds.T, strict=True):
        arrays[_PREFIX + label] = pyarrow.array(np.ascontiguousarray(column, np.float32))
    about = {
        "schema": SCHEMA,
        "labels": list(found.labels),
        "taxonomy": taxonomy_of(found.photos).own_names(),
    }
    table = pyarrow.table(arrays).replace_schema_metadata({_KEY: json.dumps(about)})
    with replacing(path) as partial:
        parquet.write_table(table, partial, compression="zstd")


def read_out_of_fold(path: Path) -> OutOfFold:
    """Read the file, or raise a DatasetError."""
    parquet, pyarrow = import_pyarrow()
    try:
        with path.open("rb") as file:  # whose errors have a reason
            table = parquet.read_table(file)
        about = json.loads((table.schema.metadata or {})[_KEY])
    except KeyError as error:
        raise DatasetError(f"{path}: not out-of-fold predictions") from error
    except (OSError, pyarrow.ArrowException) as error:
        raise DatasetError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if about["schema"] != SCHEMA:
        raise DatasetError(
            f"{path} is of schema {about['schema']}, this version reads {SCHEMA}: update the "
            "package"
        )
    taxonomy = load_taxonomy().extended(about.get("taxonomy", {}), str(path))
    texts = zip(*(table[name].to_pylist() for name in _TEXTS), strict=True)
    return OutOfFold(
        photos=[
            Photo(Path(), sha256, label, source, "validation", taxonomy=taxonomy)
            for sha256, source, label in texts
        ],
        folds=table["fold"].to_numpy(),
        labels=about["labels"],
        log_odds=np.stack([table[_PREFIX + name].to_numpy() for name in about["labels"]], axis=1),
    )


def import_pyarrow() -> tuple[Any, Any]:
    """Return the modules ``pyarrow.parquet`` and ``pyarrow``, or name the extra that has them."""
    try:
        import pyarrow  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    return parquet, pyarrow


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
    triages: list[Triage] = []
    for number in numbers:
        inside = found.folds == number
        own, others = (list(compress(found.photos, rows)) for rows in (inside, ~inside))
        bundle = calibrated(draft, found.log_odds[~inside], others)
        said = _predict(bundle, own, found.log_odds[inside])
        photos += own
        predictions += said
        triages += default_triages(bundle, said)
    whole = measure(
        calibrated(draft, found.log_odds, found.photos),
        photos,
        predictions,
        triages,
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
