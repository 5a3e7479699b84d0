"""Tables of listings: CSV, TSV, JSON lines and Parquet, read row by row.

One column names or holds the images; all others are the listing's and pass through to the rows of
the scan. A row that cannot be read becomes an item that failed: it may have named an image. So does
one that ends before the image column; one whose cell is empty there is only counted.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from recognizer.errors import UsageError
from recognizer.scan.containers.bounds import Progress
from recognizer.scan.containers.parquet import Oversized, parquet_records
from recognizer.scan.containers.records import Record, text_records
from recognizer.scan.containers.values import listing_columns
from recognizer.scan.items import FIRST_ROWS, Item, RowsWithoutImage, Skipped
from recognizer.scan.location import (
    Container,
    FileLocation,
    Location,
    StoreObject,
    TableCell,
    parse_location,
    table_format,
)
from recognizer.scan.locations.files import opened
from recognizer.status import Reason

if TYPE_CHECKING:
    from recognizer.scan.containers.opening import Opening

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

_JSON_LINES = (".jsonl", ".ndjson")
_MAX_NAMED = 30  # columns that a message lists, and characters of each
_PLACES = ("path", "url", "uri", "src")  # keys of an image that is given as an object


def table_items(opening: Opening, progress: Progress, skipped: Skipped) -> Iterator[Item]:
    """Yield the images of a table.

    A cell of the image column is a path (relative ones begin in the table's folder), a URI, bytes,
    an object with ``bytes`` or ``path``, or a list of these; in CSV and TSV a list is written as
    JSON. Images that are in the table itself have the location of their cell.

    Raises:
        MissingExtraError: pyarrow, or the library for a store, is not installed.
        UsageError: the table is the only source and has no such column; there is no such store.
        Refused: the rest cannot be read.
    """
    table = opening.container
    name = str(table)
    kind = table_format(name) or ""
    column: str | None = None
    without: Mapping[str, Any] | None = None
    with opened(table) as file:
        if kind == ".parquet":
            limit = opening.limits.max_bytes
            records = parquet_records(file, limit, progress, is_careful=opening.is_careful)
        else:
            records = text_records(file, name, kind, progress)
        for record in records:
            progress.begin()
            if record.cells is None:
                row = TableCell(table=table, row=record.number)
                yield Item.failed(row, Reason.CORRUPT_CONTAINER, record.detail)
            elif (
                found := column
                if kind not in _JSON_LINES and column
                else _image_column(record.cells, opening.image_column)
            ):  # of JSON lines, each has its own keys
                column = found
                yield from _record_items(opening, record, column, progress, skipped)
            else:
                without = record.cells
                if kind not in _JSON_LINES:
                    break
                _count(record, skipped.without_image[name])
            progress.passed(f"row {record.number}")
    if column is None and without is not None:
        yield _without_column(opening, without)


def _record_items(
    opening: Opening, record: Record, column: str, progress: Progress, skipped: Skipped
) -> Iterator[Item]:
    row = TableCell(table=opening.container, row=record.number)
    cells = dict(record.cells or {})
    image = cells.pop(column, None)
    is_text = table_format(str(opening.container)) != ".parquet"
    images = _images(image, as_json=is_text)
    try:
        columns = listing_columns(cells.items(), progress.bounds, max(1, len(images)))
    except ValueError as error:
        yield Item.failed(row, Reason.CORRUPT_CONTAINER, str(error))
        return
    if record.detail and image is None:
        yield Item.failed(row, Reason.CORRUPT_CONTAINER, record.detail, columns)
    elif not images:
        _count(record, skipped.without_image[str(opening.container)])
    as_base64 = is_text and column.lower() in BYTES_COLUMNS
    for number, image in enumerate(images, 1):
        if number > 1:
            progress.begin()
        cell = row if len(images) == 1 else replace(row, number=number)
        yield _item(opening, cell, image, columns, as_base64=as_base64)


def _count(record: Record, rows: RowsWithoutImage) -> None:
    rows.count += 1
    if len(rows.first) < FIRST_ROWS:
        rows.first.append(record.number)
    for name, cell in (record.cells or {}).items():
        if cell and name.strip().lower() in IMAGE_COLUMNS and len(rows.other_columns) < _MAX_NAMED:
            rows.other_columns.add(name[:_MAX_NAMED])


def _image_column(cells: Mapping[str, Any], wanted: str | None) -> str | None:
    if wanted is not None:
        return wanted if wanted in cells else None
    by_name: dict[str, str] = {name.strip().lower(): name for name in reversed([*cells])}
    return next((by_name[usual] for usual in IMAGE_COLUMNS if usual in by_name), None)


def _without_column(opening: Opening, cells: Mapping[str, Any]) -> Item:
    names = ", ".join(repr(name[:_MAX_NAMED]) for name in islice(cells, _MAX_NAMED)) or "none"
    if len(cells) > _MAX_NAMED:
        names += ", ..."
    if opening.image_column is not None:
        detail = f"no column {opening.image_column!r}, but {names}"
    else:
        detail = (
            f"none of the columns ({names}) is named like one of images; name it with "
            "--image-column"
        )
    if opening.is_only_source:
        raise UsageError(f"{opening.container}: {detail}")
    return Item.failed(opening.container, Reason.CORRUPT_CONTAINER, detail)


def _images(cell: Any, *, as_json: bool) -> Sequence[Any]:
    if isinstance(cell, str) and as_json and cell.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):  # a path may begin with a bracket
            cell = json.loads(cell)
    images = cell if isinstance(cell, list | tuple) else [cell]
    return [image for image in images if image not in (None, "", b"")]


def _item(
    opening: Opening, cell: TableCell, image: Any, columns: Mapping[str, Any], *, as_base64: bool
) -> Item:
    def failed(detail: str, reason: Reason = Reason.CORRUPT_CONTAINER) -> Item:
        return Item.failed(cell, reason, detail, columns)

    if isinstance(image, Mapping):
        places = (image[key] for key in _PLACES if image.get(key))
        image = image.get("bytes") or next(places, None)
    if isinstance(image, str) and (as_base64 or image.startswith("data:")):
        try:
            image = base64.b64decode(image if as_base64 else image.partition(",")[2])
        except (binascii.Error, ValueError) as error:
            return failed(f"not Base64: {error}")
    if isinstance(image, bytes | Oversized):
        size, limit = (
            len(image) if isinstance(image, bytes) else image.size,
            opening.limits.max_bytes,
        )
        if isinstance(image, bytes) and size <= limit:
            return Item(cell, columns=columns, data=image)
        return failed(f"{size} bytes, limit {limit}", Reason.TOO_MANY_BYTES)
    if not isinstance(image, str):
        return failed(f"neither a path nor bytes, but {type(image).__name__}")
    if len(image) > opening.bounds.max_name:
        limit = opening.bounds.max_name
        return failed(f"a path of {len(image)} characters, limit {limit} (--max-name)")
    location = _relative_to(cell.table, parse_location(image))
    refusal = opening.roots.refusal(location)
    reason = None if refusal is None else Reason.SOURCE_REFUSED
    return Item(location, columns=columns, reason=reason, detail=refusal)


def _relative_to(table: Container, location: Location) -> Location:
    if not isinstance(location, FileLocation):
        return location
    if isinstance(table, StoreObject):
        return StoreObject(f"{table.url.rpartition('/')[0]}/{location.path.lstrip('/')}")
    return FileLocation(os.path.join(os.path.dirname(table.path), location.path))
