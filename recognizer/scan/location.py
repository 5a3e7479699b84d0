"""Where an image of a scan lies: a value that is made once, from a name or by a walk.

Nothing else asks a string whether it is a URL, a path or a member of an archive. ``str(location)``
is the ``source`` of the row.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from recognizer.rows.item_key import MEMBER

IMAGE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
        *(".tif", ".tiff", ".avif", ".heic", ".heif", ".hif", ".jxl", ".jp2"),
    }
)
"""Files of a folder with these suffixes (in lower case) are scanned without a look inside. Formats
that are not decoded are among them, so that such an image gets a row that says so."""

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ZIP_SUFFIX = ".zip"
BUCKET_SCHEMES = frozenset(
    {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci", "b2", "memory"}
)
"""Schemes whose URLs name a bucket or container, and no host that could be anywhere."""

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FileLocation:
    """A local file, by its path as it was given (of :func:`os.fsdecode`)."""

    path: str

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class StoreObject:
    """An object, a prefix or a pattern in a store that fsspec knows."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def scheme(self) -> str:
        """The scheme of the URL, in lower case."""
        return self.url.partition("://")[0].lower()


@dataclass(frozen=True, slots=True)
class WebAddress:
    """An ``http://`` or ``https://`` URL."""

    url: str

    def __str__(self) -> str:
        return self.url


Container: TypeAlias = FileLocation | StoreObject
"""Where an archive or a table may lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipEntry:
    """How a member of a zip archive is compressed; size and CRC-32 are of the unpacked bytes."""

    method: int
    size: int
    crc: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveMember:
    """A member of an archive, and where its bytes lie, so that a worker can read them there.

    Attributes:
        name: the second member of a name ends in ``#2``.
        offset: where the member's bytes begin; in a zip archive, its local header.
        size: how many bytes there are, as they are stored.
        stamp: size and modification time (ns) of a local archive when it was listed. An archive
            that has changed since is not read by old offsets.
        zipped: how a zip archive has compressed it; None in a tar.
    """

    archive: Container
    name: str
    offset: int = 0
    size: int = 0
    stamp: tuple[int, int] | None = None
    zipped: ZipEntry | None = None

    def __str__(self) -> str:
        return f"{self.archive}{MEMBER}{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCell:
    """An image inside a table, or a row of a table that cannot be read.

    Attributes:
        row: from 1, without the header.
        number: from 1, where the cell holds several images.
    """

    table: Container
    row: int
    number: int | None = None

    def __str__(self) -> str:
        suffix = "" if self.number is None else f"/{self.number}"
        return f"{self.table}{MEMBER}{self.row}{suffix}"


Location: TypeAlias = FileLocation | ArchiveMember | StoreObject | WebAddress | TableCell


def parse_location(name: str) -> FileLocation | StoreObject | WebAddress:
    """Return the location that a path or a URL names.

    The member of an archive is found by opening the archive, not by its name alone.
    """
    match = _URL.match(name)
    scheme = match and match[1].lower()
    if scheme is None:
        return FileLocation(name)
    if scheme == "file":
        return FileLocation(unquote(urlsplit(name).path, errors="surrogateescape"))
    return WebAddress(name) if scheme in {"http", "https"} else StoreObject(name)


def has_image_suffix(name: str) -> bool:
    """Whether a name ends as those of images do."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def has_archive_suffix(name: str) -> bool:
    """Whether a name ends as those of archives do."""
    return name.lower().endswith((*TAR_SUFFIXES, ZIP_SUFFIX))


def table_format(name: str) -> str | None:
    """Return the suffix of a table's format; None for other names."""
    name = name.lower()
    name = name.removesuffix(".gz") if not name.endswith(".parquet.gz") else name
    return next((suffix for suffix in TABLE_SUFFIXES if name.endswith(suffix)), None)
