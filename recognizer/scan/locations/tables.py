"""Tables of listings: CSV, TSV, JSON lines and Parquet, read row by row.

One column names or holds the images; all others are the listing's and pass through to the rows of
the scan. A row that cannot be read becomes an item that failed: it may have named an image. So does
one that ends before the image column; one whose cell is empty there is only counted.
"""

from __future__ import annotations

import base64
import binascii
import csv
import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, BinaryIO, TypeAlias, cast

from recognizer.errors import MissingExtraError, UsageError
from recognizer.imaging.sources import Refused
from recognizer.scan.items import Item, RowsWithoutImage, Skipped
from recognizer.scan.location import (
    BUCKET_SCHEMES,
    Container,
    FileLocation,
    Location,
    StoreObject,
    TableCell,
    parse_location,
    table_format,
)
from recognizer.scan.locations.files import opened
from recognizer.scan.locations.values import columns_of_json, plain
from recognizer.status import Reason

Lines: TypeAlias = "io.BufferedReader[io.RawIOBase]"

BYTES_COLUMNS = ("bytes", "image_bytes", "base64", "image_base64")
"""Columns of images themselves; in tables of text they are Base64."""

IMAGE_COLUMNS = (
    *("image", "images", "photo", "photos", "picture", "pictures", "img", "imgs"),
    *(
        f"{what}_{how}"
        for what in ("image", "photo", "picture", "img")
        for how in ("path", "paths", "url", "urls", "uri", "uris", "file", "files")
    ),
    *BYTES_COLUMNS,
    *("path", "paths", "file_path", "filepath", "file_name", "filename", "file"),
    *("url", "urls", "uri", "uris", "src"),
)
"""Names by which the image column is found, the surest first; case does not matter."""

JSON_LINES = (".jsonl", ".ndjson")

_MAX_LINE_BYTES = 128 << 20  # an image of 64 MiB as Base64 fits
_MAX_HEADER = 1 << 20  # characters
_FIRST_ROWS = 3  # without an image, whose numbers are printed
_BATCH_ROWS = 64  # of a Parquet table: each may hold images
_PLACES = ("path", "url", "uri", "src")  # keys of an image that is given as an object


@dataclass(frozen=True, slots=True)
class _Record:
    """A row of a table, numbered from 1 without the header: its cells and their flaw."""

    number: int
    cells: Mapping[str, Any] | None
    detail: str = ""


def table_items(table: Container, image_column: str | None, skipped: Skipped) -> Iterator[Item]:
    """Yield the images of a table.

    A cell of the image column is a path (relative ones begin in the table's folder), a URI, bytes,
    an object with ``bytes`` or ``path``, or a list of these; in CSV and TSV a list is written as
    JSON. Images that are in the table itself have the location of their cell.

    Args:
        table: the table.
        image_column: its name; None to find it, see :data:`IMAGE_COLUMNS`.
        skipped: counts the rows without an image.

    Raises:
        MissingExtraError: pyarrow, or the library for a store, is not installed.
        UsageError: there is no such column, or no such store.
    """
    column: str | None = None
    missing: UsageError | None = None
    name = str(table)
    kind = table_format(name) or ""
    is_json, is_text = kind in JSON_LINES, kind != ".parquet"
    try:
        with opened(table) as file:
            for record in _records(name, kind, file):
                row = TableCell(table=table, row=record.number)
                if record.cells is None:
                    yield Item.failed(row, Reason.CORRUPT_CONTAINER, record.detail)
                    continue
                try:
                    if column is None or is_json:  # of JSON lines, each has its own keys
                        column = _image_column(name, record.cells, image_column)
                except UsageError as error:
                    if not is_json:
                        raise
                    missing = error
                    _count(record, skipped.without_image[name])
                    continue
                columns = {key: plain(v) for key, v in record.cells.items() if key != column}
                as_base64 = is_text and column.lower() in BYTES_COLUMNS
                images = _images(record.cells.get(column), as_json=is_text)
                if record.detail and record.cells.get(column) is None:
                    yield Item.failed(row, Reason.CORRUPT_CONTAINER, record.detail, columns)
                elif not images:
                    _count(record, skipped.without_image[name])
                for number, image in enumerate(images, 1):
                    cell = row if len(images) == 1 else replace(row, number=number)
                    yield _item(cell, image, columns, as_base64=as_base64)
    except Refused as refused:
        yield Item.failed(table, refused.reason, refused.detail)
        return
    if column is None and missing is not None:
        raise missing


def _count(record: _Record, rows: RowsWithoutImage) -> None:
    rows.count += 1
    if len(rows.first) < _FIRST_ROWS:
        rows.first.append(record.number)
    for name, cell in (record.cells or {}).items():
        if cell and name.strip().lower() in IMAGE_COLUMNS:
            rows.other_columns.add(name)


def _image_column(table: str, cells: Mapping[str, Any], wanted: str | None) -> str:
    if wanted is not None:
        if wanted in cells:
            return wanted
        raise UsageError(f"{table} has no column {wanted!r}, but {_named(cells)}")
    by_name: dict[str, str] = {name.strip().lower(): name for name in reversed([*cells])}
    for usual in IMAGE_COLUMNS:
        if usual in by_name:
            return by_name[usual]
    raise UsageError(
        f"{table}: none of the columns ({_named(cells)}) is named like one of images; name it "
        "with --image-column"
    )


def _named(cells: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, cells)) or "none"


def _images(cell: Any, *, as_json: bool) -> Sequence[Any]:
    if isinstance(cell, str) and as_json and cell.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):  # a path may begin with a bracket
            cell = json.loads(cell)
    images = cell if isinstance(cell, list | tuple) else [cell]
    return [image for image in images if image not in (None, "", b"")]


def _item(cell: TableCell, image: Any, columns: Mapping[str, Any], *, as_base64: bool) -> Item:
    if isinstance(image, Mapping):
        places = (image[key] for key in _PLACES if image.get(key))
        image = image.get("bytes") or next(places, None)
    if isinstance(image, bytes):
        return Item(cell, columns=columns, data=image)
    if not isinstance(image, str):
        detail = f"neither a path nor bytes, but {type(image).__name__}"
        return Item.failed(cell, Reason.CORRUPT_CONTAINER, detail, columns)
    if as_base64 or image.startswith("data:"):
        try:
            data = base64.b64decode(image.partition(",")[2] if not as_base64 else image)
        except (binascii.Error, ValueError) as error:
            detail = f"not Base64: {error}"
            return Item.failed(cell, Reason.CORRUPT_CONTAINER, detail, columns)
        return Item(cell, columns=columns, data=data)
    return item_of_entry(_relative_to(cell.table, parse_location(image)), columns)


def _relative_to(table: Container, location: Location) -> Location:
    if not isinstance(location, FileLocation):
        return location
    if isinstance(table, StoreObject):
        return StoreObject(f"{table.url.rpartition('/')[0]}/{location.path.lstrip('/')}")
    return FileLocation(os.path.join(os.path.dirname(table.path), location.path))


def item_of_entry(location: Location, columns: Mapping[str, Any] | None = None) -> Item:
    """Return the item of a location that a list or table names; its URL cannot be trusted."""
    if isinstance(location, StoreObject) and location.scheme not in BUCKET_SCHEMES:
        detail = f"{location.scheme}:// URLs in a list or table are not followed"
        return Item.failed(location, Reason.SOURCE_REFUSED, detail, columns)
    return Item(location, columns=columns)


def _records(name: str, kind: str, file: BinaryIO) -> Iterator[_Record]:
    if kind == ".parquet":
        yield from _parquet_records(file)
        return
    try:
        if name.lower().endswith(".gz"):
            file = cast(BinaryIO, gzip.GzipFile(fileobj=file))
        lines: Lines = io.BufferedReader(cast(io.RawIOBase, file), 1 << 16)
        if kind in {".csv", ".tsv"}:
            yield from _csv_records(lines, "\t" if kind == ".tsv" else None)
        else:
            yield from _json_records(lines)
    except EOFError as error:
        raise Refused(Reason.TRUNCATED, str(error)) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise Refused(Reason.CORRUPT_CONTAINER, str(error)) from error


def _csv_records(file: Lines, delimiter: str | None) -> Iterator[_Record]:
    # A description may be long. The limit is one of the whole process; nothing else reads CSV.
    csv.field_size_limit(_MAX_LINE_BYTES)
    utf16 = file.peek(2)[:2] in {b"\xff\xfe", b"\xfe\xff"}
    # A path need not be valid text: its bytes are kept.
    errors, encoding = ("replace", "utf-16") if utf16 else ("surrogateescape", "utf-8-sig")
    with io.TextIOWrapper(file, encoding, errors, newline="") as text:
        first = text.readline(_MAX_HEADER)
        if len(first) == _MAX_HEADER and not first.endswith("\n"):
            detail = f"not a table: its first line has more than {_MAX_HEADER} characters"
            raise Refused(Reason.CORRUPT_CONTAINER, detail)
        delimiter = delimiter or max(",;\t|", key=first.count)
        lines = _Lines(first, text)
        # Strict: a quote that is not closed swallows the rows behind it, and what follows the next
        # quote would be taken for the rest of a row.
        rows = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            header = next(rows, [])
        except csv.Error as error:
            raise Refused(Reason.CORRUPT_CONTAINER, f"the header: {error}") from error
        if len(set(header)) < len(header):
            raise Refused(Reason.CORRUPT_CONTAINER, "two columns have the same name")
        number = 0
        while True:
            begin = lines.number + 1
            try:
                cells = next(rows, None)
            except csv.Error as error:
                number += 1
                yield _Record(number, None, f"lines {begin} to {lines.number}: {error}")
                continue
            if cells is None:
                return
            if not cells:  # an empty line
                continue
            number += 1
            missing = len(header) - len(cells)
            detail = f"{len(cells)} cells for {len(header)} columns" if missing else ""
            if missing < 0:  # a comma without quotes: nobody knows which cell is which
                yield _Record(number, None, detail)
                continue
            filled = [*cells, *[None] * missing]
            yield _Record(number, dict(zip(header, filled, strict=True)), detail)


class _Lines:
    """The lines of a CSV, counted in ``number``; one that is too long is an error of its row."""

    def __init__(self, first: str, text: io.TextIOBase) -> None:
        self.number = 0
        self._lines = chain([first], iter(lambda: text.readline(_MAX_LINE_BYTES), ""))

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        if len(line) < _MAX_LINE_BYTES or line.endswith("\n"):
            return line
        while len(line) == _MAX_LINE_BYTES and not line.endswith("\n"):
            line = next(self._lines, "")
        raise csv.Error(f"a line of more than {_MAX_LINE_BYTES} characters")


def _json_records(file: Lines) -> Iterator[_Record]:
    number = 0
    while line := file.readline(_MAX_LINE_BYTES):
        if not line.endswith(b"\n") and len(line) == _MAX_LINE_BYTES:
            while (rest := file.readline(_MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            number += 1
            yield _Record(number, None, f"a line of more than {_MAX_LINE_BYTES} bytes")
        elif line.strip():
            number += 1
            try:
                yield _Record(number, columns_of_json(line.removeprefix(b"\xef\xbb\xbf")))
            except ValueError as error:
                yield _Record(number, None, str(error)[:200])


def _parquet_records(file: BinaryIO) -> Iterator[_Record]:
    try:
        import pyarrow.parquet as pq  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    number = 0
    try:
        # Buffered, and nothing read ahead: a row group may hold gigabytes of images.
        with pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20) as table:
            for batch in table.iter_batches(_BATCH_ROWS, use_threads=False):
                names = batch.schema.names
                values = [_python_values(column) for column in batch.columns]
                for cells in zip(*values, strict=True):
                    number += 1
                    yield _Record(number, dict(zip(names, cells, strict=True)))
    except OSError:
        raise
    except Exception as error:  # of any class: what damage makes pyarrow raise is not all its own
        detail = f"after row {number}: {error}" if number else str(error)
        raise Refused(Reason.CORRUPT_CONTAINER, detail[:200]) from error


def _python_values(column: Any) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except (
        ValueError,
        OverflowError,
    ):  # times that Python has no class for: nanoseconds, far years
        values = column.cast("string").to_pylist()
    return values
