"""Texts of rows as the index keeps them: keys, places, what is searched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import PurePath
from urllib.parse import urlsplit

from recognizer.rows.row import Row

MAX_TEXT = 8000
"""Characters of a listing that are searched."""


def location_of(source: str) -> str:
    """Return where an image lies: the host of a URL, else the folder."""
    if "://" in source:
        parts = urlsplit(source)
        return f"{parts.scheme}://{parts.netloc}"
    return str(PurePath(source).parent)


def words_of(name: str | None, rows: Iterable[Row]) -> str:
    """Return the texts of a listing that are searched."""
    texts = {name or "": None}
    for row in rows:
        texts |= dict.fromkeys(str(value) for value in (row.item or {}).values() if value)
        texts[row.source] = None
    return plain("\n".join(texts))[:MAX_TEXT]


def plain(text: str | bytes) -> str:
    """Return text that UTF-8 can hold."""
    encoded = text if isinstance(text, bytes) else to_key(text)
    return encoded.decode("utf-8", "backslashreplace")


def to_key(text: str) -> bytes:
    """Return the key of a listing or an image."""
    return text.encode("utf-8", "surrogatepass")  # a path need not be valid text


def digest_of(line: bytes) -> str:
    """Return the sha256 of a line."""
    return hashlib.sha256(line).hexdigest()
