"""The key that rows of the same image share: its name, however it is written, and its listing."""

import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from recognizer.policy.listing import Role, as_text, listing_of, value_of
from recognizer.status import Reason

MEMBER = "!/"  # separates an archive from its member, and a table from its row, in a row's source

URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)  # how a URL begins, and its scheme

_NOTHING = re.compile(r"(?<=.)/(?:\.?/)+")


def item_key(
    source: str,
    columns: Mapping[str, Any] | None,
    listing_column: str | None = None,
    reason: Reason | None = None,
) -> int:
    """Return the signed 64 bits that tell an image in its listing from others, in any scan.

    A listing without an ID is its image and title. Other columns do not count: they may change. A
    listing without an image is the same wherever it stands.
    """
    listing = listing_of(columns, listing_column)
    if listing is None:
        return hash_of(name_with_title(source, columns))
    return hash_of(f"{'' if reason is Reason.NO_IMAGE else plain_name(source)}\0{listing}")


def name_with_title(source: str, columns: Mapping[str, Any] | None) -> str:
    """Return what tells an image without a listing's ID from others."""
    title = as_text(value_of(columns or {}, Role.TITLE))
    return plain_name(source) if title is None else f"{plain_name(source)}\0\0{title}"


def former_key(key: int, sha256: str) -> int:
    """Return the key of an image in whose place, known by its key, there is another now."""
    return hash_of(f"{key} {sha256}")


def hash_of(text: str) -> int:
    """Return 64 bits of a digest, as a signed integer."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big", signed=True)


def plain_name(source: str) -> str:
    """Return a local path without ``.`` and empty parts; ``..`` may lead through a link: it stays.

    What follows an archive or a table is the name of a member, and is left alone.
    """
    if URL.match(source):
        return source
    path, mark, member = source.partition(MEMBER)
    while path.startswith("./"):
        path = path[2:].lstrip("/")
    return _NOTHING.sub("/", path) + mark + member


def without_parents(path: str) -> str:
    """Return a path without ``..``, the same from any folder; as it is if a link is on the way."""
    plain = path if URL.match(path) else os.path.normpath(path)
    with suppress(ValueError):  # a NUL
        if os.pardir in path.split(os.sep) and os.path.realpath(plain) == os.path.realpath(path):
            return plain
    return path


def alternate_path(path: str) -> str | None:
    """Return a relative path absolute, and the reverse; None if a link precedes ``..``."""
    try:
        other = os.path.relpath(path) if os.path.isabs(path) else os.path.abspath(path)
        if os.pardir in path.split(os.sep) and not os.path.samefile(path, other):
            return None
    except (OSError, ValueError):  # not there; another drive of Windows
        return None
    return other
