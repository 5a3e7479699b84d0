"""The identity of an image: the one name of its file, its key, and how people are shown it."""

import hashlib
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

from recognizer.listing import Role, as_text, listing_of, value_of
from recognizer.status import Reason

MEMBER = "!/"  # between a table and the number of its row, in the source of an image
MAX_NAME = 8000  # characters of a source, or of the identity of a listing


def real_path(path: str) -> str:
    """Return the one name of a file, however it was spelled: its real folder and its name.

    The last part is not resolved: a linked photo keeps its name and suffix. Names are bytes, so
    that NFC and NFD stay apart. A path with a NUL, which no file has, stays as it is.
    """
    folder, name = os.path.split(path)
    try:
        if name in {"", os.curdir, os.pardir}:
            return os.path.realpath(path)
        if not os.path.isabs(folder):
            folder = os.path.join(os.getcwd(), folder)
        return os.path.join(_real_folder(folder), name)
    except ValueError:
        return path


_real_folder = lru_cache(4096)(os.path.realpath)  # resolving costs a call for each part of a path


def shown_place(source: str) -> str:
    """Return a source as people are shown it: relative to the current folder if it lies below."""
    return source.removeprefix(os.path.join(os.getcwd(), "")) or source


def item_key(
    source: str,
    columns: Mapping[str, Any] | None,
    listing_column: str | None = None,
    reason: Reason | None = None,
) -> int:
    """Return the key of an image, a signed 64-bit integer.

    A listing without an ID is its image and title. Other columns do not count: they may change. A
    listing without an image is the same wherever it stands.
    """
    listing = listing_of(columns, listing_column)
    if listing is None:
        return hash_of(name_with_title(source, columns))
    return hash_of(f"{'' if reason is Reason.NO_IMAGE else source}\0{listing}")


def name_with_title(source: str, columns: Mapping[str, Any] | None) -> str:
    """Return the identity of an image without a listing's ID: its source and title."""
    title = as_text(value_of(columns or {}, Role.TITLE))
    return source if title is None else f"{source}\0\0{title}"


def hash_of(text: str) -> int:
    """Return 64 bits of a digest, as a signed integer."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big", signed=True)


def as_name(text: str) -> str:
    """Return printable text: the rest is escaped, beyond :data:`MAX_NAME` it ends in a digest."""
    if text.isprintable() and len(text) <= MAX_NAME:
        return text
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(shown) > MAX_NAME:
        shown = f"{shown[: MAX_NAME - 100]}#{hashlib.sha256(shown.encode()).hexdigest()}"
    return shown


def location_of(source: str) -> str:
    """Return where an image lies: the host of a URL, else the folder."""
    scheme, mark, rest = source.partition("://")
    if mark:
        return f"{scheme}://{re.split('[/?#]', rest, maxsplit=1)[0]}"
    return os.path.dirname(source).removesuffix(MEMBER[0]) or "."


RACY_NS = 2_000_000_000
"""A file that changed so shortly before it was read is read again by the next scan: it may have
changed again within the same tick of its file system's clock, which is 2 s on FAT."""


def file_state(path: str) -> tuple[bytes, bool] | None:
    """Return bytes that differ if a file has changed (see git), and whether later changes show."""
    with suppress(OSError, ValueError):
        status = os.stat(path)
        # The second time is of any change, also of the name and the first time; it cannot be set.
        times = (status.st_mtime_ns, status.st_ctime_ns)
        text = " ".join(map(str, (status.st_size, *times, status.st_ino)))
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        return digest, max(times) < time.time_ns() - RACY_NS
    return None
