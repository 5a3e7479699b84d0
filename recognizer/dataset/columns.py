"""Tables that people keep beside the code: CSV with named columns."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from recognizer.errors import DatasetError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence


def read_rows(
    path: str | os.PathLike[str], columns: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Read a table row by row.

    Args:
        path: the file, UTF-8.
        columns: those that it must have; it may have others.

    Yields:
        Where a row stands (``file:line``), and what it holds; a cell that is not there is empty.

    Raises:
        DatasetError: it cannot be read, or a column is missing.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, restval="")
            missing = [column for column in columns if column not in (reader.fieldnames or [])]
            if missing:
                raise DatasetError(f"{path}: no column {', '.join(missing)}")
            for row in reader:
                yield f"{path}:{reader.line_num}", row
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: {error}") from error
