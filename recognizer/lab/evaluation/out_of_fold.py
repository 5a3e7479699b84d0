"""Out-of-fold predictions: each photo scored by a run that left out its source.

``docs/training.md`` has the columns of the Parquet file. The metadata of its schema has, under
``recognizer.out_of_fold``, a JSON object with ``schema`` (1), ``labels`` in order, and
``taxonomy``, which describes custom labels.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognizer._files import replacing
from recognizer.errors import DatasetError, TrainingError, import_extra
from recognizer.imaging import PREPROCESSING_VERSION
from recognizer.lab.dataset.folds import stratified_folds
from recognizer.lab.dataset.manifest import Photo, taxonomy_of
from recognizer.lab.evaluation.calibrate import calibrated, uncalibrated
from recognizer.lab.evaluation.evaluate import (
    Measured,
    default_triages,
    measure,
)
from recognizer.lab.evaluation.paired import PairedEvaluation, compare
from recognizer.model.bundle import Bundle
from recognizer.model.description import InputFormat, ModelFile
from recognizer.policy.values import Triage
from recognizer.prediction import Prediction
from recognizer.status import Status
from recognizer.taxonomy import load_taxonomy

SCHEMA = 1
RECIPE_FILE = "recipe.json"  # of a run
_KEY = b"recognizer.out_of_fold"
_TEXTS = ("sha256", "source", "label")
_PREFIX = "log_odds."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutOfFold:
    """Out-of-fold predictions of N photos, which need no file.

    ``folds`` is (N,), from 0; ``log_odds``, before calibration, (N, labels). ``recipe`` is that of
    the run, if known: the weights with which it began may have learned from these photos.
    """

    photos: Sequence[Photo]
    folds: NDArray[np.int16]
    labels: Sequence[str]
    log_odds: NDArray[np.float32]
    recipe: Mapping[str, Any] = field(default_factory=dict)


def write_out_of_fold(held: OutOfFold, path: Path) -> None:
    """Write the file in one step."""
    parquet = import_extra("pyarrow.parquet", "parquet")
    import pyarrow  # noqa: PLC0415 - an extra

    arrays = {name: pyarrow.array([getattr(p, name) for p in held.photos]) for name in _TEXTS}
    arrays["fold"] = pyarrow.array(held.folds.astype(np.int16))
    for label, column in zip(held.labels, held.log_odds.T, strict=True):
        arrays[_PREFIX + label] = pyarrow.array(np.ascontiguousarray(column, np.float32))
    names = taxonomy_of(held.photos).own_names()
    about = {"schema": SCHEMA, "labels": [*held.labels], "taxonomy": names}
    table = pyarrow.table(arrays).replace_schema_metadata({_KEY: json.dumps(about)})
    with replacing(path) as partial:
        parquet.write_table(table, partial, compression="zstd")


def read_out_of_fold(path: Path) -> OutOfFold:
    """Read the file, or raise a DatasetError."""
    try:
        with path.open("rb") as file:  # whose errors have a reason
            table = import_extra("pyarrow.parquet", "parquet").read_table(file)
        about = json.loads((table.schema.metadata or {})[_KEY])
    except KeyError as error:
        raise DatasetError(f"{path}: not out-of-fold predictions") from error
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if about["schema"] != SCHEMA:
        schemas = f"schema {about['schema']}, this version reads {SCHEMA}"
        raise DatasetError(f"{path} is of {schemas}: update the package")
    taxonomy = load_taxonomy().extended(about.get("taxonomy", {}), str(path))
    is_moved = not path.with_name(RECIPE_FILE).exists()
    return OutOfFold(
        photos=[
            Photo(Path(), split="validation", taxonomy=taxonomy, **texts)
            for texts in table.select(_TEXTS).to_pylist()
        ],
        folds=table["fold"].to_numpy(),
        labels=about["labels"],
        log_odds=np.stack([table[_PREFIX + name].to_numpy() for name in about["labels"]], axis=1),
        recipe={} if is_moved else read_run(path.parent)["recipe"],
    )


def read_run(folder: Path) -> dict[str, Any]:
    """Return what a run's folder says of it: ``recipe``, ``labels`` and ``photos``."""
    try:
        about: dict[str, Any] = json.loads((folder / RECIPE_FILE).read_text("utf-8"))
        return {key: about[key] for key in ("recipe", "labels", "photos")}
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"{folder}: no {RECIPE_FILE} of a run; train first") from error


def measure_out_of_fold(held: OutOfFold, title: str, **how: Any) -> Measured:
    """Measure out-of-fold predictions, calibrated across folds; ``title`` is for the tables.

    ``how`` is for :func:`measure`.
    """
    found = _calibrated_folds(held, title)
    whole = measure(*found, "out of fold", **how)
    return Measured(replace(whole, bundle=title, same_sources=_same_sources(held)), *found)


def compare_out_of_fold(
    now: OutOfFold, before: OutOfFold, *, titles: Sequence[str], rounds: int = 1000
) -> PairedEvaluation:
    """Compare two runs, photo by photo, on those that both left out under the same label."""
    sides = [_calibrated_folds(*pair) for pair in zip((now, before), titles, strict=True)]
    rows = [
        {(p.sha256, p.label): (p, one) for p, one in zip(photos, said, strict=True)}
        for _, photos, said, _ in sides
    ]
    both = [key for key in rows[0] if key in rows[1]]
    photos = [rows[0][key][0] for key in both]
    if not any(p.is_product for p in photos) or all(p.is_product for p in photos):
        raise DatasetError(f"{' and '.join(titles)} have too few photos in common to be compared")
    said = [[side[key][1] for key in both] for side in rows]
    bundles = sides[0][0], sides[1][0]
    return compare(*bundles, "out of fold", photos, *said, rounds=rounds, titles=titles)


def _calibrated_folds(
    held: OutOfFold, title: str
) -> tuple[Bundle, list[Photo], list[Prediction], list[Triage]]:
    """Return a bundle of all folds, the photos, and what each fold's own bundle says of them."""
    folds = held.folds
    if len(np.unique(folds)) < 2:  # one network left all out: halves by source calibrate each other
        if len({p.source for p in held.photos}) < 2:
            raise DatasetError(f"{title}: photos of one fold and source; at least 2 are needed")
        truth, sources = [p.label for p in held.photos], [p.source for p in held.photos]
        folds = np.zeros(len(held.photos), np.int16)
        folds[stratified_folds(truth, sources, 2)[1][1]] = 1
    numbers = np.unique(folds)
    draft = uncalibrated(
        held.labels,
        taxonomy_of(held.photos),
        path=Path("out-of-fold"),  # there is none
        name="out-of-fold",
        version=1,
        model=ModelFile(sha256=""),
        input=InputFormat(size=1, preprocessing=PREPROCESSING_VERSION),
        activation="softmax",
    )
    photos, predictions, triages = list[Photo](), list[Prediction](), list[Triage]()
    for number in numbers:
        inside = folds == number
        own, others = (list(compress(held.photos, rows)) for rows in (inside, ~inside))
        bundle = calibrated(draft, held.log_odds[~inside], others)
        said = _predict(bundle, own, held.log_odds[inside])
        photos += own
        predictions += said
        triages += default_triages(bundle, said)
    return calibrated(draft, held.log_odds, held.photos), photos, predictions, triages


def _same_sources(held: OutOfFold) -> tuple[str, ...]:
    """Return the labels, and their families, with photos of a source that is in several folds."""
    folds = defaultdict[str, set[int]](set)
    for photo, fold in zip(held.photos, held.folds.tolist(), strict=True):
        folds[photo.source].add(fold)
    labels = {photo.label for photo in held.photos if len(folds[photo.source]) > 1}
    known = taxonomy_of(held.photos).labels
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
