"""What a scan works on: items, shards of them, and what was skipped on the way to them."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Self, TypeAlias

from recognizer.errors import UsageError
from recognizer.listing_columns import listing_of
from recognizer.rows.item_key import alternate_path, item_key
from recognizer.scan.location import (
    ArchiveMember,
    FileLocation,
    Location,
    StoreObject,
    TableCell,
    WebAddress,
    parse_location,
)
from recognizer.status import Reason

FIRST_ROWS = 3
"""So many numbers of rows without an image are printed."""

Columns: TypeAlias = Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Item:
    """One image to scan.

    Attributes:
        columns: the listing's own columns, passed through to the row; None where there are none.
        reason: why it cannot be read, where that is known already, with its detail.
        data: its bytes, where they were read on the way to it; None where a worker reads them.
    """

    location: Location
    _: KW_ONLY
    columns: Columns = None
    reason: Reason | None = None
    detail: str | None = None
    data: bytes | None = field(default=None, repr=False)

    @classmethod
    def at(cls, name: str, columns: Columns = None, *, data: bytes | None = None) -> Self:
        """Return the image at a path or URL, or the image of that name whose bytes are given."""
        return cls(parse_location(name), columns=columns, data=data)

    @classmethod
    def failed(cls, at: Location, reason: Reason, detail: str, columns: Columns = None) -> Self:
        """Return an image that cannot be read."""
        return cls(at, columns=columns, reason=reason, detail=detail)

    @property
    def source(self) -> str:
        """Its name, in the row."""
        return str(self.location)

    def alternate_path(self) -> Self | None:
        """Return the same local image with an absolute path for a relative one, or the reverse."""
        match self.location:
            case FileLocation(path) if other := alternate_path(path):
                return replace(self, location=FileLocation(other))
            case ArchiveMember(archive=FileLocation(path)) as member if other := alternate_path(
                path
            ):
                return replace(self, location=replace(member, archive=FileLocation(other)))
            case TableCell(table=FileLocation(path)) as cell if other := alternate_path(path):
                return replace(self, location=replace(cell, table=FileLocation(other)))
        return None

    @property
    def has_absolute_path(self) -> bool:
        """Whether its name begins at the root."""
        return os.path.isabs(self.source)

    @property
    def path(self) -> str | None:
        """The path of the local file that it is and that is still to be read; else None."""
        if self.reason is not None or self.data is not None:
            return None
        return self.location.path if isinstance(self.location, FileLocation) else None

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
    """The rows of a table that have no value in the image column."""

    count: int = 0
    first: list[int] = field(default_factory=list)  # of their numbers, from 1, without the header
    other_columns: set[str] = field(default_factory=set)  # named like image columns, with a value


@dataclass(slots=True)
class Skipped:
    """What an expansion skipped, for the summary."""

    other_files: int = 0  # of folders and archives: not images by suffix and first bytes
    hidden: int = 0  # files and folders whose names begin with a dot
    without_image: defaultdict[str, RowsWithoutImage] = field(
        default_factory=lambda: defaultdict(RowsWithoutImage)
    )
    """By table."""
    image_columns: defaultdict[str, dict[str, None]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    """By table: the columns that were taken for those of images, in their order."""
    bad_metadata: int = 0  # beside images in archives, which are scanned without it

    def add(self, other: Skipped) -> None:
        """Add what was skipped in another process."""
        self.other_files += other.other_files
        self.hidden += other.hidden
        self.bad_metadata += other.bad_metadata
        for table, rows in other.without_image.items():
            mine = self.without_image[table]
            mine.count += rows.count
            mine.first = [*mine.first, *rows.first][:FIRST_ROWS]
            mine.other_columns |= rows.other_columns
        for table, columns in other.image_columns.items():
            self.image_columns[table] |= columns


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a scan.

    Every item is in exactly one of the ``count`` shards, and all items of a listing are in the
    same. Which one depends only on the listing (without one, on the item's source),
    not on the order or the machine, as long as all jobs use the same name for it. Shards are
    numbered from 1; another number is a :class:`UsageError`.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            count = max(1, self.count)
            raise UsageError(
                f"shard {self.number}/{self.count}: shards go from 1/{count} to {count}/{count}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a shard from ``i/n``; any other text is a :class:`UsageError`."""
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if found is None:
            raise UsageError(f"shard {text!r}: write i/n, for example 1/8 for the first of eight")
        return cls(int(found[1]), int(found[2]))

    def of(self, items: Iterable[Item], listing_column: str | None = None) -> Iterator[Item]:
        """Yield the items of this shard, in their order; None finds the column of listings."""
        for item in items:
            listing = listing_of(item.columns, listing_column)
            key = item_key(item.source if listing is None else listing, None)
            if key % self.count == self.number - 1:
                yield item
