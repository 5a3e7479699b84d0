"""What a scan works on: an item is one image, by the name of where it lies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recognizer.status import Reason


@dataclass(frozen=True, slots=True)
class Item:
    """One image to scan.

    Attributes:
        source: its path, as it was given. A name that is no valid text is a ``str`` with lone
            surrogates, as :func:`os.fsdecode` makes it.
        columns: the listing's own columns, passed through to the row; None where there are none.
        reason: why it cannot be read, where that is known already.
        detail: what exactly, in words.
        data: its bytes, where they were read on the way to it; None where ``source`` says where
            they are.
    """

    source: str
    columns: Mapping[str, Any] | None = None
    reason: Reason | None = None
    detail: str | None = None
    data: bytes | None = field(default=None, repr=False)

    @property
    def key(self) -> int:
        """64 bits that tell this item from others, also in a later run."""
        return item_key(self.source, self.columns)


def item_key(source: str, columns: Mapping[str, Any] | None) -> int:
    """Return the :attr:`Item.key` of a source with its columns."""
    text = source if columns is None else f"{source}\0{json.dumps(columns, sort_keys=True)}"
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


@dataclass(slots=True)
class Passed:
    """What an expansion passed over, so that the summary can tell.

    Attributes:
        other_files: files in folders that are no images, by name nor by their first bytes.
        hidden: files and folders in folders whose names begin with a dot.
    """

    other_files: int = 0
    hidden: int = 0
