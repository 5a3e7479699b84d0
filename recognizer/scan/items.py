"""What a scan works on: items, and what was skipped on the way to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Self

from recognizer.rows.row import item_key
from recognizer.scan.location import (
    ArchiveMember,
    Location,
    StoreObject,
    WebAddress,
    parse_location,
)
from recognizer.status import Reason


@dataclass(frozen=True, slots=True)
class Item:
    """One image to scan.

    Attributes:
        location: where it lies.
        columns: the listing's own columns, passed through to the row; None where there are none.
        reason: why it cannot be read, where that is known already.
        detail: what exactly, in words.
        data: its bytes, where they were read on the way to it; None where a worker reads them.
    """

    location: Location
    _: KW_ONLY
    columns: Mapping[str, Any] | None = None
    reason: Reason | None = None
    detail: str | None = None
    data: bytes | None = field(default=None, repr=False)

    @classmethod
    def at(
        cls, name: str, columns: Mapping[str, Any] | None = None, *, data: bytes | None = None
    ) -> Self:
        """Return the image at a path or URL, or the image of that name whose bytes are given."""
        return cls(parse_location(name), columns=columns, data=data)

    @classmethod
    def failed(
        cls,
        location: Location,
        reason: Reason,
        detail: str,
        columns: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return an image that cannot be read."""
        return cls(location, columns=columns, reason=reason, detail=detail)

    @property
    def source(self) -> str:
        """Its name, in the row."""
        return str(self.location)

    @property
    def key(self) -> int:
        """64 bits that tell this item from others, also in a later run."""
        return item_key(self.source, self.columns)

    @property
    def is_remote(self) -> bool:
        """Whether its bytes come over a network, so that waiting is most of the work."""
        if self.reason is not None or self.data is not None:
            return False
        location = self.location
        place = location.archive if isinstance(location, ArchiveMember) else location
        return isinstance(place, StoreObject | WebAddress)


@dataclass(slots=True)
class RowsWithoutImage:
    """The rows of a table that have no value in the image column.

    Attributes:
        first: the numbers of the first of them, from 1, without the header.
        other_columns: columns named like image columns in which some of them have a value.
    """

    count: int = 0
    first: list[int] = field(default_factory=list)
    other_columns: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Skipped:
    """What an expansion skipped, for the summary.

    Attributes:
        other_files: files of folders and archives that are not images, by suffix and first bytes.
        hidden: files and folders whose names begin with a dot.
        without_image: table -> its rows without an image.
        bad_metadata: metadata beside images in archives that could not be read; the images are
            scanned without it.
    """

    other_files: int = 0
    hidden: int = 0
    without_image: defaultdict[str, RowsWithoutImage] = field(
        default_factory=lambda: defaultdict(RowsWithoutImage)
    )
    bad_metadata: int = 0
