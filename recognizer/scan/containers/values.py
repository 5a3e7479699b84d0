"""The values of a listing's columns, as JSON can hold them, and as long as a row may hold them."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from recognizer.scan.containers.bounds import Bounds

_MAX_BYTES = 4096  # of a binary value: rows are not for files
_MAX_CELLS = 16  # of full length in a row: there is room for many that are shorter
_MAX_LISTING_CELLS = 256  # of full length in all rows of a listing


def plain(value: Any, nesting: int = 64) -> Any:  # noqa: PLR0911 - a table
    """Return a value as JSON has it.

    Dates and times are ISO 8601, durations seconds, bytes Base64 (long ones are null), numbers
    that are none (NaN, infinite) null, and all that JSON does not know (decimals, UUIDs) text.

    Raises:
        ValueError: lists and objects are nested deeper.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes() | bytearray() | memoryview():
            data = bytes(value)
            return base64.b64encode(data).decode() if len(data) <= _MAX_BYTES else None
        case Mapping() | list() | tuple() | set() if nesting == 0:
            raise ValueError("lists and objects are nested too deep (--max-nesting)")
        case Mapping():
            return {str(key): plain(inner, nesting - 1) for key, inner in value.items()}
        case list() | tuple() | set():
            return [plain(inner, nesting - 1) for inner in value]
        case _:
            return str(value)


def json_object(text: bytes | str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: it is none.
    """
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("lists and objects are nested too deep") from error
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def listing_columns(
    cells: Iterable[tuple[str, Any]], bounds: Bounds, images: int = 1
) -> dict[str, Any]:
    """Return a listing's own columns; what is too long ends in a note that it was cut.

    Each row of its images has them, so they have less room where there are many ``images``.

    Raises:
        ValueError: a cell is nested too deep.
    """
    columns: dict[str, Any] = {}
    left = min(_MAX_CELLS, _MAX_LISTING_CELLS // images) * bounds.max_cell
    left = left or max(1, _MAX_LISTING_CELLS * bounds.max_cell // images)
    for name, cell in cells:
        if left <= 0 or len(columns) >= bounds.max_columns:
            columns["..."] = "[cut: the listing has more columns]"
            break
        value = plain(cell, bounds.max_nesting)
        text = json.dumps(value) if isinstance(value, dict | list) else value
        size = len(text) if isinstance(text, str) else 0
        limit = min(bounds.max_cell, left)
        if size > limit:
            value = f"{text[:limit]}... [cut: {size} characters, limit {limit} (--max-cell)]"
        columns[name[: bounds.max_name]] = value
        left -= min(size, limit) + len(name) + 8
    return columns
