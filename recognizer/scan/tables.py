"""Archives and tables, opened; and of each row of a table the images that it names or holds."""

import base64
import binascii
import gzip
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Self

from recognizer.errors import RecognizerError, UsageError, words_of
from recognizer.imaging.sources import Refused, refusal
from recognizer.policy.listing import BYTES_COLUMNS, image_columns
from recognizer.rows.item_key import URL, without_parents
from recognizer.scan.archives import archive_items, tar_members, zip_members
from recognizer.scan.bounds import MAX_NAME, Reading
from recognizer.scan.items import (
    ZIP_SUFFIX,
    Columns,
    Container,
    FileLocation,
    Item,
    Location,
    Part,
    Skipped,
    StoreObject,
    has_image_suffix,
    parse_location,
    table_format,
)
from recognizer.scan.options import ScanOptions
from recognizer.scan.records import (
    Oversized,
    Record,
    json_value,
    listing_columns,
    parquet_records,
    text_records,
)
from recognizer.scan.stores import BUCKET_SCHEMES, opened
from recognizer.status import Reason

_BAD = Reason.CORRUPT_CONTAINER
_JSON_LINES = (".jsonl", ".ndjson")
_MAX_NAMED = 30  # columns that a message lists, and characters of each
_MAX_WAITING = 1000  # listings without an image in front of the first that has one
_PLACES = ("path", "url", "uri", "src")  # keys of an image that is given as an object


@dataclass(frozen=True, slots=True)
class Roots:
    """Folders, by their real paths, and prefixes of stores; paths are taken from ``given``."""

    folders: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    given: Location | None = None

    @classmethod
    def of(cls, table: Container, sources: Iterable[Container], root: str | None) -> Self:
        """Return the roots of a table: what was allowed, else its folder and those named."""
        given = None if root is None else parse_location(root)
        places = [type(table)(os.path.dirname(table)), *sources] if given is None else [given]
        folders = (os.path.realpath(p or os.curdir) for p in places if isinstance(p, FileLocation))
        prefixes = (p.rstrip("/") + "/" for p in places if isinstance(p, StoreObject))
        return cls(tuple(os.path.join(one, "") for one in folders), tuple(prefixes), given)

    def locate(self, table: Container, path: str) -> Container:
        """Return what a path in a table names: below the given root, else in the table's folder."""
        beside = _below(type(table)(os.path.dirname(table)), path)
        if self.given is None:
            return beside
        below = _below(self.given, path.lstrip("/"))
        is_there = isinstance(below, FileLocation) and os.path.lexists(below)
        return beside if os.path.isabs(path) and not is_there else below

    def refusal(self, location: Location) -> str | None:
        """Return why a table may not name a location; None if it may."""
        if isinstance(location, FileLocation) and not self._holds(location):
            return "a table may name images in its own folder alone: allow another by --image-root"
        if not isinstance(location, StoreObject):
            return None
        if location.scheme not in BUCKET_SCHEMES:
            return f"{location.scheme}:// URLs in a list or table are not followed"
        if not {".", ".."} & {*location.split("/")} and location.startswith(self.prefixes):
            return None
        return "a table names it: allow what its URL begins with by --image-root"

    def _holds(self, path: str) -> bool:
        try:
            real = os.path.realpath(path)
        except ValueError:  # a NUL: the reader will say that it does not exist
            return True
        return os.path.join(real, "").startswith(self.folders)


def _below(root: Location | None, path: str) -> Container:
    if isinstance(root, StoreObject):
        return StoreObject(f"{root.rstrip('/')}/{path.lstrip('/')}")
    return FileLocation(without_parents(os.path.join(str(root or ""), path)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """An archive or a table, and how it is opened; as the only source, it must have images."""

    container: Container
    options: ScanOptions = field(default_factory=ScanOptions)
    roots: Roots = field(default_factory=Roots)
    is_only_source: bool = False
    member: str | None = None  # the one of an archive that is wanted; None for all

    def items(self, progress: Reading, skipped: Skipped) -> Iterator[Item]:
        """Yield what is in it; a container that cannot be read on ends in an item."""
        container, limits = self.container, self.options.limits
        try:
            if table_format(container):
                yield from _Table(self, progress, skipped).items()
            else:
                is_zip = container.lower().endswith(ZIP_SUFFIX)
                members = zip_members(container) if is_zip else tar_members(container, progress)
                yield from archive_items(container, members, limits, progress, skipped, self.member)
        except RecognizerError:
            raise
        except Exception as error:  # of any class: whatever a parser makes of damage
            refused = _refusal(error)
            yield Item.failed(self.container, refused.reason, f"{refused.detail}; {progress.rest}")


def _refusal(error: Exception) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, MemoryError):
        return Refused(_BAD, "it takes more memory than there is (--memory-limit)")
    if isinstance(error, EOFError) or "unexpected end of data" in str(error):
        return Refused(Reason.TRUNCATED, "it ends early")
    if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
        return refusal(error)
    return Refused(_BAD, words_of(error))


@dataclass(frozen=True, slots=True)
class _Table:
    opening: Opening
    progress: Reading
    skipped: Skipped

    def items(self) -> Iterator[Item]:
        """Yield the images; a flawed row, and a listing without an image, are items too."""
        table, given = self.opening.container, self.opening.options.image_column
        kind = table_format(table) or ""
        columns: tuple[str, ...] = ()
        without: Mapping[str, Any] | None = None
        waiting: list[Item] = []
        with opened(table) as file:
            if kind == ".parquet":
                limit = self.opening.options.limits.max_bytes
                records = parquet_records(file, limit, self.progress)
            else:
                records = text_records(file, table, kind, self.progress)
            for record in records:
                self.progress.begin()
                if record.cells is None:
                    yield Item.failed(Part(table, str(record.number)), _BAD, record.detail)
                    continue
                chosen = columns
                if not columns or kind in _JSON_LINES:  # there, each row has its own keys
                    chosen = image_columns(tuple(record.cells)) if given is None else (given,)
                    chosen = tuple(name for name in chosen if name in record.cells)
                if not chosen:
                    without = record.cells
                    if kind not in _JSON_LINES:
                        break
                items = self._of_record(record, chosen)
                if chosen or columns:
                    columns = chosen or columns
                    yield from waiting
                    waiting.clear()
                    self.skipped.image_columns.setdefault(table, {}).update(dict.fromkeys(chosen))
                    yield from items
                else:  # without any image column it is not a table of listings
                    waiting += list(items)[: _MAX_WAITING - len(waiting)]
                self.progress.passed(f"row {record.number}")
        if not columns and (without is not None or not self.progress.count):
            yield from self._without_images(without)

    def _without_images(self, cells: Mapping[str, Any] | None) -> Iterator[Item]:
        table, given = self.opening.container, self.opening.options.image_column
        if cells is None:
            detail = "a table without rows"
            self.skipped.without_image[table] = 0
        elif given is not None:
            detail = f"no column {given!r}, but {column_names(cells)}"
        else:
            names = column_names(cells)
            detail = f"no column ({names}) is named like one of images: name it with --image-column"
        if self.opening.is_only_source:
            raise UsageError(f"{table}: {detail}")
        if cells is not None:
            yield Item.failed(table, _BAD, detail)

    def _of_record(self, record: Record, chosen: Sequence[str]) -> Iterator[Item]:
        row = Part(self.opening.container, str(record.number))
        cells = dict(record.cells or {})
        named = {name: cells.pop(name, None) for name in chosen}
        images = _images(named)
        try:
            columns = listing_columns(cells.items(), max(1, len(images)))
        except ValueError as error:
            yield Item.failed(row, _BAD, str(error))
            return
        if re.search("[\udc80-\udcff]", "".join(map(str, columns.values()))):
            self.skipped.not_utf8[row.container] += 1
        if record.detail and all(cell is None for cell in named.values()):
            yield Item.failed(row, _BAD, record.detail, columns)
        elif not images:
            self.skipped.without_image[row.container] += 1
            if any(value not in (None, "") for value in columns.values()):
                names = ", ".join(map(repr, named))
                detail = f"no value in {names}" if named else "no image column"
                yield Item.failed(row, Reason.NO_IMAGE, detail, columns)
        for number, (name, image) in enumerate(images, 1):
            if number > 1:
                self.progress.begin()
            cell = row if len(images) == 1 else replace(row, name=f"{row.name}/{number}")
            yield self._of_image(cell, name, image, columns)

    def _of_image(self, cell: Part, column: str, image: Any, columns: Columns) -> Item:
        if isinstance(image, Mapping):
            places = (image[key] for key in _PLACES if image.get(key))
            image = image.get("bytes") or next(places, None)
        is_base64 = column.lower() in BYTES_COLUMNS and table_format(cell.container) != ".parquet"
        if isinstance(image, str) and (is_base64 or image.startswith("data:")):
            try:
                image = base64.b64decode(image if is_base64 else image.partition(",")[2])
            except (binascii.Error, ValueError) as error:
                return Item.failed(cell, _BAD, f"not Base64: {error}", columns)
        if isinstance(image, bytes | Oversized):
            size = image.size if isinstance(image, Oversized) else len(image)
            limit = self.opening.options.limits.max_bytes
            if isinstance(image, bytes) and size <= limit:
                return Item(cell, columns=columns, data=image)
            return Item.failed(cell, Reason.TOO_MANY_BYTES, f"{size} bytes, limit {limit}", columns)
        if not isinstance(image, str):
            detail = f"neither a path nor bytes, but {type(image).__name__}"
            return Item.failed(cell, _BAD, detail, columns)
        if len(image) > MAX_NAME:
            detail = f"a path of {len(image)} characters, limit {MAX_NAME}"
            return Item.failed(cell, _BAD, detail, columns)
        location = parse_location(image)
        if isinstance(location, FileLocation):
            location = self.opening.roots.locate(cell.container, location)
        refusal = self.opening.roots.refusal(location)
        reason = None if refusal is None else Reason.SOURCE_REFUSED
        return Item(location, columns=columns, reason=reason, detail=refusal)


def _images(cells: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found: dict[object, tuple[str, Any]] = {}  # equal texts once
    for name, cell in cells.items():
        for image in images_of_cell(cell):
            found.setdefault(image if isinstance(image, str) else object(), (name, image))
    return [*found.values()]


def column_names(columns: Collection[str]) -> str:
    """Return the first names of columns, for a message."""
    names = ", ".join(repr(name[:_MAX_NAMED]) for name in islice(columns, _MAX_NAMED))
    return (names or "none") + ", ..." * (len(columns) > _MAX_NAMED)


def images_of_cell(cell: Any) -> Sequence[Any]:
    """Return the images of a cell. A text may list several, as JSON or with separators."""
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):  # a path may begin with a bracket
            cell = json_value(cell)
    if isinstance(cell, str):
        cell = _parts(cell)
    images = cell if isinstance(cell, list | tuple) else [cell]
    return [image for image in images if image not in (None, "", b"")]


def _parts(text: str) -> list[str]:
    for separator in "|;":
        parts = [part for part in map(str.strip, text.split(separator)) if part]
        if len(parts) > 1 and all(URL.match(part) or has_image_suffix(part) for part in parts):
            return parts
    return [text]
