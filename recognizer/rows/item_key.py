"""The key of an image, the same in every scan: its location and its listing."""

import hashlib
from collections.abc import Mapping
from typing import Any

from recognizer.listing import Role, as_text, listing_of, value_of
from recognizer.status import Reason

MEMBER = "!/"  # between a table and the number of its row, in the source of an image


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


def parent_key(name: str) -> int:
    """Return 64 bits of the name of a folder, a prefix of a store, or a table."""
    return hash_of(name.rstrip("/"))
