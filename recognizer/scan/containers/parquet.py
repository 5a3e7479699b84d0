"""The rows of Parquet tables, a few at a time: small files may hold gigabytes of zeros."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from recognizer.errors import MissingExtraError
from recognizer.imaging.sources import Refused
from recognizer.scan.containers.bounds import Progress
from recognizer.scan.containers.records import Record
from recognizer.status import Reason

_BATCH_ROWS = 256
_BATCH_BYTES = 8 << 20  # on average, by what the table says of itself
_SLACK_BYTES = 64  # for the offsets and null bits of a cell


@dataclass(frozen=True, slots=True)
class Oversized:
    """A cell that is larger than an image may be, and was not read."""

    size: int

    def __str__(self) -> str:
        return f"[cut: {self.size} bytes]"


def parquet_records(
    file: BinaryIO, limit: int, progress: Progress, *, is_careful: bool
) -> Iterator[Record]:
    """Yield the rows of a Parquet table; cells of more than ``limit`` bytes are not read.

    Nor are those of a column that has as many in each row, on average: its pages may be larger
    than the memory.

    Raises:
        MissingExtraError: pyarrow is not installed.
        Refused: the rest cannot be read.
    """
    try:
        import pyarrow.parquet as pq  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    number, max_columns = 0, progress.bounds.max_columns
    try:
        # Buffered, and nothing read ahead: a row group may hold gigabytes of images.
        with pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20) as table:
            names = table.schema_arrow.names
            if len(names) > max_columns:
                detail = f"{len(names)} columns, limit {max_columns} (--max-columns)"
                raise Refused(Reason.CORRUPT_CONTAINER, detail)
            for group in range(table.num_row_groups):
                sizes = _sizes(table.metadata.row_group(group))
                large = {name: Oversized(size) for name, size in sizes.items() if size > limit}
                small = [name for name in names if name not in large]
                rows = _BATCH_BYTES // max(1, sum(sizes[name] for name in small if name in sizes))
                rows = 1 if is_careful else max(1, min(_BATCH_ROWS, rows))
                batches = table.iter_batches(
                    rows, row_groups=[group], columns=small, use_threads=False
                )
                for batch in batches:
                    progress.unpack(batch.nbytes)
                    columns = [_values(column, limit) for column in batch.columns]
                    for cells in zip(*columns, strict=True) if small else [()] * batch.num_rows:
                        number += 1
                        yield Record(number, dict(zip(small, cells, strict=True)) | large)
    except (OSError, MemoryError, Refused):
        raise
    except Exception as error:  # of any class: what damage makes pyarrow raise is not all its own
        raise Refused(Reason.CORRUPT_CONTAINER, str(error)[:200]) from error


def _sizes(group: Any) -> dict[str, int]:
    """Return the bytes of a cell in each column of a row group, on average, as the table says."""
    sizes: dict[str, int] = {}
    for number in range(group.num_columns):
        chunk = group.column(number)
        name = chunk.path_in_schema.partition(".")[0]
        cell = chunk.total_uncompressed_size // max(1, group.num_rows)
        sizes[name] = sizes.get(name, 0) + cell
    return sizes


def _values(column: Any, limit: int) -> list[Any]:
    from pyarrow import types  # noqa: PLC0415 - an extra

    if column.nbytes <= limit and not types.is_dictionary(column.type):
        return _python_values(column)
    return [_value(column.slice(row, 1), limit) for row in range(len(column))]


def _value(cell: Any, limit: int) -> Any:
    """Return the value of an array of one; each image of a list, and each field, is measured."""
    from pyarrow import types  # noqa: PLC0415 - an extra

    if types.is_dictionary(cell.type):
        cell = cell.dictionary_decode()
    kind = cell.type
    is_list = types.is_list(kind) or types.is_large_list(kind)
    if cell.nbytes <= limit + _SLACK_BYTES:
        return _python_values(cell)[0]
    if is_list and not types.is_primitive(kind.value_type):
        images = cell.flatten()
        return [_value(images.slice(number, 1), limit) for number in range(len(images))]
    if types.is_struct(kind):
        names = [field.name for field in kind]
        values = (_value(field, limit) for field in cell.flatten())
        return dict(zip(names, values, strict=True))
    return Oversized(cell.nbytes)


def _python_values(column: Any) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):  # times that Python has no class for
        values = column.cast("string").to_pylist()
    return values
