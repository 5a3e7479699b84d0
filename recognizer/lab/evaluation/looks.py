"""Looks at a test split: each measurement on it is a line of a file, which is never shortened.

Whoever chooses by a test split has none left, and what counts is how often it was looked at.
"""

import csv
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from recognizer.errors import UsageError
from recognizer.lab.dataset.manifest import Photo, fingerprint, read_rows

LOOKS_FILE = "looks.csv"  # in the first folder of the data, unless another is named

_COLUMNS = ("date", "data", "commit", "bundle", "purpose")


def record_look(file: Path, photos: Sequence[Photo], bundle: str, purpose: str) -> int:
    """Append a line to a file, and return the number of looks at these very photos, with it."""
    data, is_new = fingerprint(photos), not file.exists()
    earlier = () if is_new else read_rows(file, _COLUMNS)
    number = 1 + sum(row["data"] == data for _, row in earlier)
    today = datetime.now(UTC).date().isoformat()
    try:
        with file.open("a", newline="", encoding="utf-8") as table:
            rows = [_COLUMNS] * is_new + [(today, data, _commit(), bundle, purpose)]
            csv.writer(table, lineterminator="\n").writerows(rows)
    except OSError as error:
        words = "looks at the test split are counted there: name another file with --looks"
        raise UsageError(f"{file}: {error.strerror}; {words}") from error
    return number


def _commit() -> str:
    if (git := shutil.which("git")) is None:
        return ""
    command = [git, "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    return done.stdout.strip()
