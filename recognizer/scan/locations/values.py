"""The values of a listing's columns, as JSON can hold them."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

_MAX_BYTES = 4096  # of a binary value: a row is no place for files


def plain(value: Any) -> Any:  # noqa: PLR0911 - a table
    """Return a value as JSON has it.

    Dates and times are ISO 8601, durations seconds, bytes Base64 (long ones are null), numbers
    that are none (NaN, infinite) null, and all that JSON does not know (decimals, UUIDs) text.
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
        case Mapping():
            return {str(key): plain(inner) for key, inner in value.items()}
        case list() | tuple() | set():
            return [plain(inner) for inner in value]
        case _:
            return str(value)


def columns_of_json(text: bytes | str) -> dict[str, Any]:
    """Read a listing's columns from a JSON object.

    Raises:
        ValueError: it is none.
    """
    try:
        columns = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(columns, dict):
        raise ValueError("no JSON object")
    result: dict[str, Any] = plain(columns)
    return result
