"""Tables of listings: of each row the images that it names, where the table may name them."""

import gzip
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Any

from recognizer.errors import RecognizerError, UsageError, words_of
from recognizer.imaging.sources import Refused, refusal
from recognizer.listing import as_text, image_columns
from recognizer.rows.identity import real_path, shown_place
from recognizer.scan.items import (
    URL,
    Columns,
    FileLocation,
    Item,
    Location,
    Skipped,
    TableLocation,
    TableRow,
    Url,
    has_image_suffix,
    parse_location,
    path_of,
    table_format,
)
from recognizer.scan.options import ScanOptions
from recognizer.scan.stores import BUCKET_SCHEMES, opened
from recognizer.scan.table_rows import MAX_NAME, Record, json_value, listing_columns, read_records
from recognizer.status import Reason

_BAD = Reason.CORRUPT_CONTAINER
_MAX_NAMED = 30  # columns that a message lists, and characters of each
_MAX_FIRST = 1000  # rows of JSON that are read to find a column of images
_PLACES = ("path", "url", "uri", "src")  # keys of an image that is given as an object
_NAMES = re.compile(r"[^\s|;,，、；'\"\[\](){}<>?#]+")  # in any text # noqa: RUF001
_INSIDE = "an image inside the table: write it to a file first"


class Table:
    """A table of listings. Without ``--image-root`` it may name what is beside it or a source."""

    def __init__(
        self,
        location: TableLocation,
        options: ScanOptions,
        sources: Sequence[TableLocation],
        skipped: Skipped,
        *,
        is_only_source: bool,
    ) -> None:
        self._location = location
        self._suffix = table_format(location) or ""
        self._given, self._listing_column = options.image_columns, options.listing_column
        self._skipped = skipped
        self._is_only_source = is_only_source
        root = options.image_root
        self._root = None if root is None else parse_location(root)
        places = [self._beside(""), *sources] if self._root is None else [self._root]
        folders = (os.path.realpath(p) for p in places if isinstance(p, FileLocation))
        self._folders = tuple(os.path.join(folder, "") for folder in folders)
        urls = (place for place in places if isinstance(place, Url))
        self._prefixes = tuple(url.rstrip("/") + "/" for url in urls)

    def items(self) -> Iterator[Item]:
        """Yield the images; what is wrong with the table, a row or a listing is an item too."""
        try:
            with opened(self._location) as file:
                yield from self._items(read_records(file, self._location, self._suffix))
        except RecognizerError:
            raise
        except Exception as error:  # of any class: whatever a parser makes of damage
            refused = _refusal(error)
            yield Item.failed(self._location, refused.reason, refused.detail)

    def _items(self, records: Iterator[Record]) -> Iterator[Item]:
        is_json = self._suffix in {".jsonl", ".ndjson"}  # each row has its own keys
        first: list[Record] = []
        names: dict[str, None] = {}
        for record in records:
            first.append(record)
            names |= dict.fromkeys(record.cells or ())
            is_enough = not is_json or len(first) == _MAX_FIRST
            if record.cells is not None and (is_enough or self._has_image_columns(names)):
                break
        if not first:
            self._skipped.without_image[self._location] = 0
            self._refuse_only_source("a table without rows")
        elif names and not self._has_image_columns(names):
            shown = column_names(names)
            detail = f"no column ({shown}) is named like images: use --image-column"
            if missing := [name for name in self._given if name not in names]:
                detail = f"no column {missing[0]!r}, but {shown}"
            self._refuse_only_source(detail)
            if not self._image_columns(names):
                yield Item.failed(self._location, _BAD, detail)
                return
        elif names and not is_json and self._listing_column not in {None, *names}:
            words = f"no column {self._listing_column!r}, but {column_names(names)}"
            self._refuse_only_source(words)
        for record in chain(first, records):
            yield from self._of_record(record)

    def _refuse_only_source(self, detail: str) -> None:
        if self._is_only_source:
            raise UsageError(f"{shown_place(self._location)}: {detail}")

    def _image_columns(self, names: Collection[str]) -> tuple[str, ...]:
        if self._given:
            return tuple(name for name in self._given if name in names)
        return image_columns(tuple(names))

    def _has_image_columns(self, names: Collection[str]) -> bool:
        """Whether all columns that were given are there, or else any column of images."""
        return len(self._image_columns(names)) >= max(1, len(self._given))

    def _of_record(self, record: Record) -> Iterator[Item]:
        row = TableRow(self._location, str(record.number))
        if record.cells is None:
            yield Item.failed(row, _BAD, record.detail)
            return
        cells = dict(record.cells)
        named = {name: cells.pop(name) for name in self._image_columns(cells)}
        self._skipped.image_columns.setdefault(self._location, {}).update(dict.fromkeys(named))
        images = _images(named.values())
        try:
            columns, texts = listing_columns(cells.items()), listing_columns(named.items())
        except ValueError as error:
            yield Item.failed(row, _BAD, str(error))
            return
        self._note_unread(columns | texts, images)
        if re.search("[\udc80-\udcff]", "".join(map(str, columns.values()))):
            self._skipped.not_utf8[self._location] += 1
        if record.detail and all(cell is None for cell in named.values()):
            yield Item.failed(row, _BAD, record.detail, columns)
        elif not images:
            self._skipped.without_image[self._location] += 1
            if any(value not in (None, "") for value in columns.values()):
                names = ", ".join(map(repr, named))
                detail = f"no value in {names}" if named else "no image column"
                yield Item.failed(row, Reason.NO_IMAGE, detail, columns)
        for number, image in enumerate(images, 1):
            cell = row if len(images) == 1 else TableRow(row.table, f"{row.name}/{number}")
            yield self._of_image(cell, image, columns)

    def _note_unread(self, columns: Mapping[str, Any], images: Sequence[Any]) -> None:
        """Note the columns that name images which are not among those of the row."""
        unread = self._skipped.unread_columns.setdefault(self._location, {})
        read = "\n".join(map(str, map(_place_of, images)))
        for name, value in columns.items():
            if name not in unread:
                named = filter(has_image_suffix, _NAMES.findall(as_text(value) or ""))
                if any(image not in read for image in named):
                    unread[name] = None

    def _of_image(self, cell: TableRow, image: Any, columns: Columns) -> Item:
        image = _place_of(image)
        if isinstance(image, bytes) or (isinstance(image, str) and image.startswith("data:")):
            return Item.failed(cell, Reason.UNSUPPORTED_FORMAT, _INSIDE, columns)
        if not isinstance(image, str):
            detail = f"neither a path nor a URL, but {type(image).__name__}"
            return Item.failed(cell, _BAD, detail, columns)
        if len(image) > MAX_NAME:
            detail = f"a path of {len(image)} characters, limit {MAX_NAME}"
            return Item.failed(cell, _BAD, detail, columns)
        path = path_of(image)
        location = Url(image) if path is None else self._locate(path)
        refused = self._refusal(location)
        reason = None if refused is None else Reason.SOURCE_REFUSED
        root = str(self._root or self._beside(""))
        return Item(location, columns=columns, reason=reason, detail=refused, root=root)

    def _beside(self, path: str) -> TableLocation:
        return _below(type(self._location)(os.path.dirname(self._location)), path)

    def _locate(self, path: str) -> TableLocation:
        """Return the location of a path: below the given root, else beside the table."""
        if self._root is None:
            return self._beside(path)
        below = _below(self._root, path.lstrip("/"))
        is_there = isinstance(below, FileLocation) and os.path.lexists(below)
        return self._beside(path) if os.path.isabs(path) and not is_there else below

    def _refusal(self, location: Location) -> str | None:
        """Return why the table may not name a location; None if it may."""
        if isinstance(location, FileLocation) and not self._holds(location):
            return "a table may name images in its own folder alone: allow another by --image-root"
        if not isinstance(location, Url) or location.is_web:  # whose host the reader checks
            return None
        if location.scheme not in BUCKET_SCHEMES:
            return f"{location.scheme}:// URLs in a list or table are not followed"
        if not {".", ".."} & {*location.split("/")} and location.startswith(self._prefixes):
            return None
        return "a table names it: allow what its URL begins with by --image-root"

    def _holds(self, path: str) -> bool:
        try:  # its folder is real already
            real = os.path.realpath(path) if os.path.islink(path) else path
        except ValueError:  # a NUL: the reader will say that it does not exist
            return True
        return os.path.join(real, "").startswith(self._folders)


def _below(root: Location, path: str) -> TableLocation:
    if isinstance(root, Url):
        return Url(f"{root.rstrip('/')}/{path.lstrip('/')}")
    return FileLocation(real_path(os.path.join(str(root), path)))


def _refusal(error: Exception) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, MemoryError):
        return Refused(_BAD, "it takes more memory than there is")
    if isinstance(error, EOFError) or "unexpected end of data" in str(error):
        return Refused(Reason.TRUNCATED, "it ends early")
    if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
        return refusal(error)
    return Refused(_BAD, words_of(error))


def _place_of(image: Any) -> Any:
    if not isinstance(image, Mapping):
        return image
    return image.get("bytes") or next((image[key] for key in _PLACES if image.get(key)), None)


def _images(cells: Collection[Any]) -> list[Any]:
    found: dict[object, Any] = {}  # equal texts once
    for image in chain.from_iterable(map(images_of_cell, cells)):
        found.setdefault(image if isinstance(image, str) else object(), image)
    return [*found.values()]


def column_names(columns: Collection[str]) -> str:
    """Return the first names of columns, for a message."""
    names = ", ".join(repr(name[:_MAX_NAMED]) for name in islice(columns, _MAX_NAMED))
    return (names or "none") + ", ..." * (len(columns) > _MAX_NAMED)


def images_of_cell(cell: Any) -> Sequence[Any]:
    """Return the images of a cell: a path, a URL, or a list of these, also as JSON in a text."""
    if isinstance(cell, str) and cell.lstrip().startswith(("[", "{")):
        with suppress(ValueError, RecursionError):  # a path may begin with a bracket
            cell = json_value(cell)
    cells = cell if isinstance(cell, list | tuple) else [cell]
    stripped = (_stripped(cell) if isinstance(cell, str) else cell for cell in cells)
    return [image for image in stripped if image not in (None, "", b"")]


def _stripped(text: str) -> str:
    """Return a text without the blanks around it, unless it is a path: a name may have them."""
    return inner if not (inner := text.strip()) or URL.match(inner) else text
