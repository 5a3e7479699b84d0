"""The rows of tables: CSV, TSV, JSON lines and Parquet, and the values of their cells."""

import csv
import gzip
import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import partial
from itertools import chain
from typing import Any, BinaryIO, TypeAlias, cast

from recognizer._files import name_columns
from recognizer.errors import import_extra
from recognizer.imaging.sources import Refused
from recognizer.status import Reason

Lines: TypeAlias = "io.BufferedReader[io.RawIOBase]"

MAX_NAME = 4096  # characters of a path or URL
MAX_COLUMNS = 4096
MAX_LINE_BYTES = 16 << 20  # longer lines, and rows, are cut

_MAX_HEADER = 1 << 20  # characters
_BUFFER_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Record:
    """A row of a table, numbered from 1 without the header: its cells and their flaw."""

    number: int
    cells: Mapping[str, Any] | None
    detail: str = ""


def read_records(file: BinaryIO, name: str, suffix: str) -> Iterator[Record]:
    """Yield the rows of a table; ``suffix`` is that of its format."""
    if suffix == ".parquet":
        return _parquet_records(file)
    is_packed = name.lower().endswith(".gz")
    stream = gzip.GzipFile(fileobj=file) if is_packed else file
    lines: Lines = io.BufferedReader(cast(Any, stream), _BUFFER_BYTES)
    if suffix in {".csv", ".tsv"}:
        return _csv_records(lines, "\t" if suffix == ".tsv" else None)
    return _json_records(lines)


def _csv_records(file: Lines, delimiter: str | None) -> Iterator[Record]:
    # A description may be long. The whole process has one limit: it is raised, never lowered.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))
    # A path need not be valid text: its bytes are kept.
    with io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="") as text:
        first = text.readline(_MAX_HEADER)
        if len(first) == _MAX_HEADER and not first.endswith("\n"):
            detail = f"not a table: its first line has more than {_MAX_HEADER} characters"
            raise Refused(Reason.CORRUPT_CONTAINER, detail)
        delimiter = delimiter or max(",;\t|", key=first.count)
        lines = chain([first], iter(partial(text.readline, MAX_LINE_BYTES), ""))
        # Strict: a quote that is not closed swallows the rows behind it, and what follows the next
        # quote would be taken for the rest of a row.
        rows = csv.reader(lines, delimiter=delimiter, strict=True)
        header = _checked_columns(next(rows, []))
        number = 0
        while True:
            begin = rows.line_num + 1
            try:
                cells = next(rows, None)
            except csv.Error as error:
                number += 1
                yield Record(number, None, f"lines {begin} to {rows.line_num}: {error}")
                continue
            if cells is None:
                return
            if not cells:  # an empty line
                continue
            number += 1
            missing = len(header) - len(cells)
            detail = f"{len(cells)} cells for {len(header)} columns" if missing else ""
            if missing < 0:  # a comma without quotes: which cell is which is unknown
                yield Record(number, None, detail)
                continue
            filled = [*cells, *[None] * missing]
            yield Record(number, dict(zip(header, filled, strict=True)), detail)


def _checked_columns(names: Sequence[str]) -> list[str]:
    if len(names) > MAX_COLUMNS:
        raise Refused(Reason.CORRUPT_CONTAINER, f"{len(names)} columns, limit {MAX_COLUMNS}")
    return name_columns(names)


def _json_records(file: Lines) -> Iterator[Record]:
    lines = iter(partial(file.readline, MAX_LINE_BYTES), b"")
    for number, line in enumerate(filter(bytes.strip, lines), 1):
        try:
            cells = json_value(line.removeprefix(b"\xef\xbb\xbf"))
            if not isinstance(cells, dict):
                raise ValueError("no JSON object")
            yield Record(number, cells)
        except ValueError as error:
            yield Record(number, None, str(error)[:200])


def json_value(text: bytes | str) -> Any:
    """Read JSON; a key that an object has twice is a ValueError."""
    try:
        return json.loads(text, object_pairs_hook=_unrepeated)
    except RecursionError as error:
        raise ValueError("lists and objects are nested too deep") from error


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key {name[:MAX_NAME]!r} is given twice")
    return values


_BATCH_ROWS = 64


def _parquet_records(file: BinaryIO) -> Iterator[Record]:
    pq = import_extra("pyarrow.parquet", "parquet")
    number = 0
    # Buffered, and nothing read ahead: a row group may hold gigabytes.
    with pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20) as table:
        names = _checked_columns(table.schema_arrow.names)
        for batch in table.iter_batches(_BATCH_ROWS, use_threads=False):
            for cells in zip(*map(_values, batch.columns), strict=True):
                number += 1
                yield Record(number, dict(zip(names, cells, strict=True)))


def _values(column: Any) -> Any:
    try:
        return column.to_pylist()
    except (ValueError, OverflowError):  # times that Python has no class for
        return column.cast("string").to_pylist()


_MAX_NESTING = 64
_MAX_CELL = 16 << 10  # characters


def plain(value: Any, nesting: int = _MAX_NESTING) -> Any:  # noqa: PLR0911 - a table
    """Return a value as JSON has it; lists and objects that are nested deeper are a ValueError.

    Dates and times are ISO 8601; bytes, NaN and infinite numbers null; and all else that JSON does
    not know (decimals, durations, UUIDs) is text.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case datetime() | date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return None
        case Mapping() | list() | tuple() | set() if nesting == 0:
            raise ValueError("lists and objects are nested too deep")
        case Mapping():
            return {str(key): plain(inner, nesting - 1) for key, inner in value.items()}
        case list() | tuple() | set():
            return [plain(inner, nesting - 1) for inner in value]
        case _:
            return str(value)


def listing_columns(cells: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the columns of a listing; a long cell is cut with a note.

    A cell that is nested too deep is a ValueError.
    """
    columns: dict[str, Any] = {}
    for name, cell in cells:
        value = plain(cell)
        text = json.dumps(value) if isinstance(value, dict | list) else value
        if isinstance(text, str) and len(text) > _MAX_CELL:
            value = f"{text[:_MAX_CELL]}... [cut: {len(text)} characters, limit {_MAX_CELL}]"
        columns[name[:MAX_NAME]] = value
    return columns
