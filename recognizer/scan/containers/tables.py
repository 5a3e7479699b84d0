"""Tables of listings: CSV, TSV, JSON lines and Parquet, read row by row.

Some columns name or hold the images; all others are the listing's and pass through to the rows of
the scan. A row that cannot be read becomes an item that failed: it may have named an image. So does
one that ends before the image column. A listing without an image is an item too: it has a text.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from recognizer.errors import UsageError
from recognizer.scan.containers.bounds import Progress
from recognizer.scan.containers.image_columns import (
    BYTES_COLUMNS,
    image_columns,
    images_of_cell,
    is_image_name,
)
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

_JSON_LINES = (".jsonl", ".ndjson")
_MAX_NAMED = 30  # columns that a message lists, and characters of each
_MAX_WAITING = 1000  # listings without an image in front of the first that has one
_PLACES = ("path", "url", "uri", "src")  # keys of an image that is given as an object


def table_items(opening: Opening, progress: Progress, skipped: Skipped) -> Iterator[Item]:
    """Yield the images of a table.

    A cell of an image column is a path (relative ones begin in the table's folder), a URI, bytes,
    an object with ``bytes`` or ``path``, or a list of these (:func:`images_of_cell`). Images that
    are in the table itself have the location of their cell.

    Raises:
        MissingExtraError: pyarrow, or the library for a store, is not installed.
        UsageError: the table is the only source and has no such column; there is no such store.
        Refused: the rest cannot be read.
    """
    table = opening.container
    name = str(table)
    kind = table_format(name) or ""
    columns: tuple[str, ...] = ()
    without: Mapping[str, Any] | None = None
    waiting: list[Item] = []
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
                found := columns
                if kind not in _JSON_LINES and columns
                else _image_columns(record.cells, opening.image_column)
            ):  # of JSON lines, each has its own keys
                columns = found
                yield from waiting
                waiting.clear()
                skipped.image_columns[name] |= dict.fromkeys(columns)
                yield from _record_items(opening, record, columns, progress, skipped)
            else:
                without = record.cells
                if kind not in _JSON_LINES:
                    break
                others = _record_items(opening, record, (), progress, skipped)
                if columns:
                    yield from others
                else:  # without any image column it is not a table of listings
                    listings = list(others)
                    waiting += listings[: _MAX_WAITING - len(waiting)]
            progress.passed(f"row {record.number}")
    if not columns and without is not None:
        yield _without_column(opening, without)


def _record_items(
    opening: Opening,
    record: Record,
    chosen: Sequence[str],
    progress: Progress,
    skipped: Skipped,
) -> Iterator[Item]:
    row = TableCell(table=opening.container, row=record.number)
    cells = dict(record.cells or {})
    named = {name: cells.pop(name, None) for name in chosen}
    is_text = table_format(str(opening.container)) != ".parquet"
    images = [(image, is_text and name.lower() in BYTES_COLUMNS) for name, image in _images(named)]
    try:
        columns = listing_columns(cells.items(), progress.bounds, max(1, len(images)))
    except ValueError as error:
        yield Item.failed(row, Reason.CORRUPT_CONTAINER, str(error))
        return
    if record.detail and all(cell is None for cell in named.values()):
        yield Item.failed(row, Reason.CORRUPT_CONTAINER, record.detail, columns)
    elif not images:
        _count(record, chosen, skipped.without_image[str(opening.container)])
        if any(value not in (None, "") for value in columns.values()):
            detail = f"no value in {', '.join(map(repr, named))}" if named else "no image column"
            yield Item.failed(row, Reason.NO_IMAGE, detail, columns)
    for number, (image, as_base64) in enumerate(images, 1):
        if number > 1:
            progress.begin()
        cell = row if len(images) == 1 else replace(row, number=number)
        yield _item(opening, cell, image, columns, as_base64=as_base64)


def _images(cells: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the images of a row with their columns; one that is named twice once."""
    seen: set[str] = set()
    for name, cell in cells.items():
        for image in images_of_cell(cell):
            if not (isinstance(image, str) and image in seen):
                yield name, image
            if isinstance(image, str):
                seen.add(image)


def _count(record: Record, chosen: Sequence[str], rows: RowsWithoutImage) -> None:
    rows.count += 1
    if len(rows.first) < FIRST_ROWS:
        rows.first.append(record.number)
    for name, cell in (record.cells or {}).items():
        is_other = cell and name not in chosen and len(rows.other_columns) < _MAX_NAMED
        if is_other and is_image_name(name):
            rows.other_columns.add(name[:_MAX_NAMED])


def _image_columns(cells: Mapping[str, Any], wanted: str | None) -> tuple[str, ...]:
    if wanted is not None:
        return (wanted,) if wanted in cells else ()
    return image_columns(tuple(cells))


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
