"""A journal as a table: CSV for spreadsheets, Parquet for everything larger.

Both hold the last row of each item, in the order of the journal, with one column for each key of
the row. They can be made at any time, also while a scan is writing the journal.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, get_type_hints

from msgspec import inspect

from recognizer import __version__
from recognizer._atomic import replacing, require_own
from recognizer.errors import MissingExtraError, UsageError
from recognizer.rows.journal import last_rows
from recognizer.rows.row import ROW_FIELDS, ROW_SCHEMA, Row, row_schema

T = TypeVar("T")

_CSV_BEGINNING = ",".join([*ROW_FIELDS][:6]).encode()  # of earlier versions too
_SCHEMA_KEY = b"recognizer.row_schema"
_CHUNK_ROWS = 2000  # a row group of Parquet


def write_table(journal: str | os.PathLike[str], output: str | os.PathLike[str]) -> int:
    """Write the last rows of a journal as ``.csv`` or ``.parquet``; return how many they are.

    The file takes its place in one step, or what was there is left as it was. File names that are
    not valid text are written with the escapes of the journal.
    """
    target = Path(output)
    kinds: dict[str, tuple[Callable[[Iterable[Row], Path], int], Callable[[BinaryIO], bool]]] = {
        ".csv": (_write_csv, _is_own_csv),
        ".parquet": (_write_parquet, _is_own_parquet),
    }
    if target.suffix.lower() not in kinds:
        raise UsageError(f"{target}: give a name that ends in {' or '.join(kinds)}")
    write, is_own = kinds[target.suffix.lower()]
    require_own(target, "table of a scan's rows", is_own)
    with replacing(target) as partial:
        return write(last_rows(journal), partial)


def _write_csv(rows: Iterable[Row], path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(ROW_FIELDS)
        for row in rows:
            writer.writerow(map(csv_cell, row.to_json().values()))
            count += 1
    return count


def _is_own_csv(file: BinaryIO) -> bool:
    return file.read(len(_CSV_BEGINNING)) == _CSV_BEGINNING


def _is_own_parquet(file: BinaryIO) -> bool:
    parquet = parquet_library()
    try:
        return _SCHEMA_KEY in (parquet.read_schema(file).metadata or {})
    except Exception:  # pyarrow raises many classes for what is not Parquet
        return False


def parquet_library() -> Any:
    """Return ``pyarrow.parquet``, or raise a :class:`MissingExtraError`."""
    try:
        from pyarrow import parquet  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    return parquet


def csv_cell(value: object) -> object:
    """Return a value of CSV: text and numbers as they are, null empty, all else as JSON."""
    return json.dumps(value) if isinstance(value, dict | list | tuple) else value


def _write_parquet(rows: Iterable[Row], path: Path) -> int:
    parquet = parquet_library()
    import pyarrow  # noqa: PLC0415 - an extra

    schema = arrow_schema()
    count = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for chunk in chunks_of(rows):
            cells = zip(*(row.to_json().values() for row in chunk), strict=True)
            columns = [
                pyarrow.array([_value(value, column) for value in values], column.type)
                for column, values in zip(schema, cells, strict=True)
            ]
            writer.write_batch(pyarrow.RecordBatch.from_arrays(columns, schema=schema))
            count += len(chunk)
    return count


def chunks_of(rows: Iterable[T]) -> Iterator[list[T]]:
    """Yield rows by row groups of Parquet."""
    source = iter(rows)
    while chunk := list(itertools.islice(source, _CHUNK_ROWS)):
        yield chunk


def _value(value: Any, column: Any) -> Any:
    from pyarrow import types  # noqa: PLC0415 - an extra

    if value is None:
        return None
    if types.is_timestamp(column.type):
        return datetime.fromisoformat(value)
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if types.is_string(column.type):
        return json.dumps(value)
    return [*value.items()] if types.is_map(column.type) else value


def arrow_schema() -> Any:
    """Return the ``pyarrow.Schema`` of a table; the listing's own columns are one, as JSON."""
    import pyarrow  # noqa: PLC0415 - an extra

    descriptions = row_schema()["properties"]
    fields = [
        pyarrow.field(
            key,
            pyarrow.string() if key == "item" else _arrow_type(inspect.type_info(hint)),
            metadata={"description": descriptions[key]["description"]},
        )
        for key, hint in get_type_hints(Row, include_extras=True).items()
    ]
    return pyarrow.schema(
        fields,
        metadata={_SCHEMA_KEY: str(ROW_SCHEMA), "recognizer.version": __version__},
    )


def _arrow_type(kind: inspect.Type) -> Any:
    """Return the Arrow type of a field; texts and enumerations are strings."""
    import pyarrow  # noqa: PLC0415 - an extra

    match kind:
        case inspect.Metadata():
            found = _arrow_type(kind.type)
        case inspect.UnionType(types=types):  # with None
            found = _arrow_type(next(t for t in types if not isinstance(t, inspect.NoneType)))
        case inspect.DataclassType():
            found = pyarrow.struct([(field.name, _arrow_type(field.type)) for field in kind.fields])
        case inspect.DictType():
            found = pyarrow.map_(pyarrow.string(), _arrow_type(kind.value_type))
        case inspect.TupleType(item_types=(item, *_)) | inspect.VarTupleType(item_type=item):
            found = pyarrow.list_(_arrow_type(item))
        case inspect.DateTimeType():
            found = pyarrow.timestamp("us", "UTC")
        case inspect.IntType():
            found = pyarrow.int64()
        case inspect.FloatType():
            found = pyarrow.float64()
        case _:
            found = pyarrow.string()
    return found
