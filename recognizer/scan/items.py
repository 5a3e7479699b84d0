"""The input of a scan: images and where they lie, shards of them, and what was skipped.

A location is made once, from a name or by a walk. ``str(location)`` is the ``source`` of the row.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Self, TypeAlias
from urllib.parse import unquote, urlsplit

from recognizer.errors import UsageError
from recognizer.listing import listing_of
from recognizer.rows.identity import MEMBER, item_key, real_path
from recognizer.status import Reason

IMAGE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
        *(".tif", ".tiff", ".avif", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".svg", ".svgz"),
        *(".ico", ".cur", ".mpo", ".pjp", ".pjpeg"),
    }
)
"""Files with these suffixes are scanned without a look inside. Formats that are not decoded are
among them, so that such an image gets a row that says so."""

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
ARCHIVE_SUFFIXES = (
    *(".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"),
    *(".zip", ".7z", ".rar"),
)

URL = re.compile("([a-z][a-z0-9+.-]+)://", re.IGNORECASE)  # the beginning, with the scheme
_PASSWORD = re.compile(r"(^[^/]+://[^/?#:]*):[^/?#]*@")

Columns: TypeAlias = Mapping[str, Any] | None


class FileLocation(str):
    """The path of a local file: its one name, by :func:`~recognizer.rows.identity.real_path`."""

    __slots__ = ()


class Url(str):
    """The URL of an object or a prefix in an object store, or of an image on the web.

    It has all that is needed to read it; rows and messages have it without a password.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return _PASSWORD.sub(r"\1@", self, count=1)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    @property
    def scheme(self) -> str:
        """The scheme of the URL, in lower case."""
        return self.partition("://")[0].lower()

    @property
    def is_web(self) -> bool:
        return self.scheme in {"http", "https"}


TableLocation: TypeAlias = FileLocation | Url


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table by its number, or one of several images in a row, ``7/2``."""

    table: TableLocation
    name: str

    def __str__(self) -> str:
        return f"{self.table}{MEMBER}{self.name}"


Location: TypeAlias = FileLocation | Url | TableRow


def parse_location(name: str) -> FileLocation | Url:
    """Return the location that a path or URL names, the same for each spelling of a path."""
    path = path_of(name)
    return Url(name) if path is None else FileLocation(real_path(path))


def path_of(name: str) -> str | None:
    """Return the path that a name or a ``file://`` URL gives; None for other URLs."""
    match = URL.match(name)
    if match is None:
        return name
    is_file = match[1].lower() == "file"
    return unquote(urlsplit(name).path, errors="surrogateescape") if is_file else None


def has_image_suffix(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def has_archive_suffix(name: str) -> bool:
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def table_format(name: str) -> str | None:
    """Return the suffix of a table's format; None for other names."""
    name = name.lower()
    name = name.removesuffix(".gz") if not name.endswith(".parquet.gz") else name
    return next((suffix for suffix in TABLE_SUFFIXES if name.endswith(suffix)), None)


@dataclass(frozen=True, slots=True)
class Item:
    """One image to scan, with its listing's own columns, which are passed through to the row.

    ``reason`` and ``detail`` say why it cannot be read, if that is known already; ``data`` has its
    bytes, if they were read on the way to it, and the location may be any name of them then;
    ``root`` is the folder or prefix that it was found below.
    """

    location: Location | str
    _: KW_ONLY
    columns: Columns = None
    reason: Reason | None = None
    detail: str | None = None
    data: bytes | None = field(default=None, repr=False)
    root: str = field(default="", compare=False)

    @classmethod
    def at(cls, name: str, columns: Columns = None, *, data: bytes | None = None) -> Self:
        """Return the image at a path or URL, or of that name with these bytes."""
        location = parse_location(name) if data is None else name
        return cls(location, columns=columns, data=data)

    @classmethod
    def failed(cls, at: Location, reason: Reason, detail: str, columns: Columns = None) -> Self:
        """Return an image that cannot be read."""
        return cls(at, columns=columns, reason=reason, detail=detail)

    @property
    def source(self) -> str:
        """The name in the row."""
        return str(self.location)

    @property
    def _unread(self) -> Location | str | None:
        return self.location if self.reason is None and self.data is None else None

    @property
    def path(self) -> str | None:
        """The path of the local file that it is and that is still to be read; else None."""
        return str(self._unread) if isinstance(self._unread, FileLocation) else None

    @property
    def is_remote(self) -> bool:
        """Whether its bytes come over a network, so that waiting is most of the work."""
        return isinstance(self._unread, Url)


@dataclass(slots=True)
class Skipped:
    """The inputs that an expansion skipped, for the summary."""

    other_files: int = 0  # of folders: not images by suffix and first bytes
    hidden: int = 0  # files and folders whose names begin with a dot
    without_image: Counter[str] = field(default_factory=Counter)
    """By table, the rows without a value in the image column; 0 for a table without rows."""
    image_columns: dict[str, dict[str, None]] = field(default_factory=dict)
    """The columns that were taken for those of images, in their order, by table."""
    unread_columns: dict[str, dict[str, None]] = field(default_factory=dict)
    """Other columns that name images, by table."""
    not_utf8: Counter[str] = field(default_factory=Counter)
    """By table, the rows whose text is not UTF-8: no keyword with such a letter matches."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a scan, numbered from 1.

    A listing's name, or else the path below the source, says which: machines may differ in where
    they mount it.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise UsageError(f"shard {self.number}/{self.count}: write i/n, with i from 1 to n")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a shard from ``i/n``; any other text is a :class:`UsageError`."""
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if match is None:
            raise UsageError(f"shard {text!r}: write i/n, for example 1/8 for the first of eight")
        return cls(int(match[1]), int(match[2]))

    def of(self, items: Iterable[Item], listing_column: str | None = None) -> Iterator[Item]:
        """Yield the items of this shard, in their order; None finds the column of listings."""
        for item in items:
            name = listing_of(item.columns, listing_column) or item.source.removeprefix(item.root)
            if item_key(name, None) % self.count == self.number - 1:
                yield item
