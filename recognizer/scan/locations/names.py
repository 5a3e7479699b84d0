"""What the name of a source says: a path or a URL, an image, a table, an archive."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote, urlsplit

IMAGE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
        *(".tif", ".tiff", ".avif", ".heic", ".heif", ".hif", ".jxl", ".jp2"),
    }
)
"""What is taken from a folder by its name, in lower case. Formats that are not decoded are among
them, so that such a photo gets a row that says so."""

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ZIP_SUFFIX = ".zip"
MEMBER = "!/"
"""Stands between an archive and its member, a table and its row, in an item's source."""

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_url(name: str) -> bool:
    """Whether a name is a URL, and no path."""
    return _URL.match(name) is not None


def scheme_of(url: str) -> str:
    """Return a URL's scheme, in lower case."""
    return url.partition("://")[0].lower()


def is_web(name: str) -> bool:
    """Whether a name is an ``http://`` or ``https://`` URL."""
    return is_url(name) and scheme_of(name) in {"http", "https"}


def without_file_scheme(name: str) -> str:
    """Return the path of a ``file://`` URL; any other name as it is."""
    if not is_url(name) or scheme_of(name) != "file":
        return name
    return unquote(urlsplit(name).path, errors="surrogateescape")


def is_image(name: str) -> bool:
    """Whether a name ends as those of images do."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def table_format(name: str) -> str | None:
    """Return the suffix of a table's format; None for other names."""
    name = name.lower()
    name = name.removesuffix(".gz") if not name.endswith(".parquet.gz") else name
    return next((suffix for suffix in TABLE_SUFFIXES if name.endswith(suffix)), None)


def is_archive(name: str) -> bool:
    """Whether a name ends as those of archives do."""
    return name.lower().endswith((*TAR_SUFFIXES, ZIP_SUFFIX))
