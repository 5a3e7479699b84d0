"""What a bundle says of each photo: a Parquet file for analyses, and a picture of the errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recognizer._atomic import replacing
from recognizer.dataset.contact_sheet import contact_sheet
from recognizer.dataset.manifest import Photo
from recognizer.dataset.out_of_fold import import_pyarrow
from recognizer.engine import Recognizer
from recognizer.imaging.thumbnail import draw_heatmap
from recognizer.policy import Verdict
from recognizer.prediction import Prediction

MAX_ERRORS = 12
"""Errors of each label that are drawn, the most confident first."""


_TILE = 240  # pixels, of a photo and its heat-map


class Scored(NamedTuple):
    """The photos of a split, with what the bundle says and what the default policy decides."""

    split: str
    photos: Sequence[Photo]
    predictions: Sequence[Prediction]
    verdicts: Sequence[Verdict]


def write_predictions(parts: Iterable[Scored], labels: Sequence[str], path: Path) -> None:
    """Write a row for each photo, in a group of rows for each split.

    The columns are ``path``, ``sha256``, ``split``, ``label``, ``source``, ``highest`` (the label
    with the highest score), ``decision``, and ``score.LABEL`` (float32) for each label.
    """
    parquet, pyarrow = import_pyarrow()
    texts = ("path", "sha256", "split", "label", "source", "highest", "decision")
    schema = pyarrow.schema(
        [(name, pyarrow.string()) for name in texts]
        + [(f"score.{name}", pyarrow.float32()) for name in labels]
    )
    with (
        replacing(path) as partial,
        parquet.ParquetWriter(partial, schema, compression="zstd") as writer,
    ):
        for part in parts:
            found: list[Any] = [
                [_text(str(photo.path)) for photo in part.photos],
                [photo.sha256 for photo in part.photos],
                [part.split] * len(part.photos),
                [photo.label for photo in part.photos],
                [_text(photo.source) for photo in part.photos],
                [highest(said) for said in part.predictions],
                [str(verdict.decision) for verdict in part.verdicts],
            ]
            scores = [
                np.array([said.scores[name] for said in part.predictions], np.float32)
                for name in labels
            ]
            writer.write_table(pyarrow.table([*found, *scores], schema=schema))


def _text(text: str) -> str:
    # File names that are not Unicode have lone surrogates, which UTF-8 cannot encode.
    return text.encode("utf-8", "backslashreplace").decode()


def highest(prediction: Prediction) -> str:
    """Return the label with the highest score."""
    return max(prediction.scores, key=prediction.scores.__getitem__)


def draw_errors(recognizer: Recognizer, part: Scored) -> NDArray[np.uint8] | None:
    """Draw the photos whose own label has not the highest score, by label, as an RGB picture.

    Each is beside its heat-map: of its own label, or of the one with the highest score if the model
    does not know its own. None if there are no errors.
    """
    wrong: defaultdict[str, list[tuple[float, str, Photo]]] = defaultdict(list)
    for photo, said in zip(part.photos, part.predictions, strict=True):
        if (best := highest(said)) != photo.label:
            wrong[photo.label].append((said.scores[best], best, photo))
    drawn = []
    for label in sorted(wrong):
        for score, best, photo in sorted(wrong[label], key=lambda one: -one[0])[:MAX_ERRORS]:
            known = label if label in recognizer.labels else best
            explained = recognizer.explain(photo.path, known)
            pair = np.hstack([explained.rgb, draw_heatmap(explained.rgb, explained.heatmap)])
            drawn.append((f"{label}\n{best} {score:.2f}", pair))
    return contact_sheet(drawn, _TILE, columns=6) if drawn else None
