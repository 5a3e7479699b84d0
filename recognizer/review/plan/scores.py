"""Scores of labelled photos in a file (CSV), so that a plan can be made again in a second."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from recognizer._atomic import replacing
from recognizer.errors import UsageError
from recognizer.review.plan.evidence import family_thresholds
from recognizer.review.plan.labelled import ScoredPhoto

if TYPE_CHECKING:
    from recognizer.model.bundle import Bundle

COLUMNS = ("bundle", "sha256", "label", "source")
"""The first columns; one for each family of the bundle follows."""


def is_scores(file: BinaryIO) -> bool:
    """Return whether a file begins like one that :func:`write_scores` made."""
    return file.readline(100).decode("utf-8", "replace").startswith(",".join(COLUMNS))


def write_scores(path: Path, bundle: Bundle, photos: Sequence[ScoredPhoto]) -> None:
    """Write scores.

    Raises:
        UsageError: the file cannot be written.
    """
    families = list(family_thresholds(bundle))
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow([*COLUMNS, *families])
        rows.writerows(
            [
                bundle.digest,
                p.sha256,
                p.label,
                p.source,
                *(f"{p.families[f]:.8g}" for f in families),
            ]
            for p in photos
        )


def read_scores(path: Path, bundle: Bundle) -> list[ScoredPhoto]:
    """Read scores.

    Args:
        path: a file that :func:`write_scores` made, or another with its columns.
        bundle: that made them.

    Raises:
        UsageError: the file cannot be read, a row breaks a rule, or another bundle made it; the
            message names the line.
    """
    families = list(family_thresholds(bundle))
    found = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file, restval="")
            missing = {*COLUMNS, *families} - set(rows.fieldnames or ())
            if missing:
                raise UsageError(f"{path}: no column {', '.join(sorted(missing))}")
            for row in rows:
                try:
                    found.append(_photo(row, families, bundle))
                except ValueError as error:
                    raise UsageError(f"{path}:{rows.line_num}: {error}") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: not a table in UTF-8: {error}") from error
    if not found:
        raise UsageError(f"{path}: no rows")
    return found


def _photo(row: dict[str, str], families: Sequence[str], bundle: Bundle) -> ScoredPhoto:
    if row["bundle"] != bundle.digest:
        raise ValueError(
            f"scores of the bundle {row['bundle'][:12]}, not of {bundle.title}: score the photos "
            "again with --data"
        )
    if row["label"] not in bundle.taxonomy.labels:
        raise ValueError(f"unknown label {row['label']!r}")
    scores = {family: float(row[family]) for family in families}
    if not all(math.isfinite(score) and 0 <= score <= 1 for score in scores.values()):
        raise ValueError("scores are probabilities, from 0 to 1")
    return ScoredPhoto(
        sha256=row["sha256"], label=row["label"], source=row["source"], families=scores
    )
