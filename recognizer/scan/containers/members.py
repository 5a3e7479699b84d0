"""From the members of an archive to items, by the layout of WebDataset.

Members of one key (the name up to the first dot of its last part) belong together: the ``.json``
among them holds the columns of the images. Other members are skipped.

Source: https://github.com/webdataset/webdataset, "The WebDataset Format".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from recognizer._sqlite import KeySet
from recognizer.imaging import Limits
from recognizer.imaging.formats import SNIFF_BYTES, sniff
from recognizer.imaging.sources import Refused
from recognizer.scan.containers.bounds import Bounds, Progress
from recognizer.scan.containers.values import json_object, listing_columns
from recognizer.scan.items import Item, Skipped
from recognizer.scan.location import ArchiveMember, has_archive_suffix, has_image_suffix
from recognizer.status import Reason

MAX_METADATA_BYTES = 1 << 20
"""A larger ``.json`` is not metadata."""

# An archive may have one key for all that it holds. Images that have waited so long are scanned
# without metadata.
_MAX_WAITING = 32
_MAX_WAITING_BYTES = 64 << 20

_MANY_IMAGES = 64  # of one listing
_MAX_TRIES = 100  # of names for one more member of a name
_APPLE_DOUBLE = b"\0\5\x16\7"  # what a Mac keeps beside a file: RFC 1740
_KEY = re.compile(r"((?:.*/)?[^/.]+)\.[^/]*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file in an archive, by the name that the archive has for it.

    Attributes:
        location: where it lies.
        flaw: why it cannot be read, as far as that is known already.
        read: returns as many of its first bytes, or all for None; raises :class:`Refused`.
        is_streamed: whether its bytes travel with the item: no worker can read them in place.
    """

    location: ArchiveMember
    flaw: Refused | None
    read: Callable[[int | None], bytes]
    is_streamed: bool = False

    @property
    def size(self) -> int:
        """Its bytes when unpacked."""
        return self.location.size if self.location.zipped is None else self.location.zipped.size


@dataclass(slots=True)
class _Group:
    key: str | None = None
    columns: Mapping[str, Any] | None = None
    short_columns: Mapping[str, Any] | None = None  # for those that follow many others
    images: int = 0
    waiting: list[Item] = field(default_factory=list)
    waiting_bytes: int = 0

    def flush(self) -> Iterator[Item]:
        for item in self.waiting:
            self.images += 1
            is_one_of_many = self.images > _MANY_IMAGES
            columns = self.short_columns if is_one_of_many else self.columns
            yield item if columns is None else replace(item, columns=columns)
        self.waiting.clear()
        self.waiting_bytes = 0

    def add(self, item: Item) -> Iterator[Item]:
        self.waiting.append(item)
        self.waiting_bytes += len(item.data or b"")
        if (
            self.columns is not None
            or len(self.waiting) >= _MAX_WAITING
            or self.waiting_bytes >= _MAX_WAITING_BYTES
        ):
            yield from self.flush()


def items_of(
    members: Iterable[Member], limits: Limits, progress: Progress, skipped: Skipped
) -> Iterator[Item]:
    """Yield an item for each image in an archive, and for each flaw.

    ``members`` may raise where nothing more can be read: what was read until then comes first.
    """
    group = _Group()
    try:
        with KeySet() as seen:
            for member in members:
                number = progress.begin()
                name = member.location.name.removeprefix("./")
                key = key_of(name)
                if key != group.key:
                    yield from group.flush()
                    group = _Group(key)
                    progress.waiting = group.waiting
                if name.lower().endswith(".json"):
                    try:
                        group.columns, group.short_columns = _metadata(member, progress.bounds)
                    except (Refused, ValueError):
                        skipped.bad_metadata += 1
                    yield from group.flush()
                elif _is_apple_double(name, member):
                    skipped.hidden += 1
                elif (item := _item(name, member, limits, progress, seen)) is None:
                    skipped.other_files += 1
                else:
                    yield from group.add(item)
                progress.passed(f"member {number}", name)
    except Exception:
        yield from group.flush()
        raise
    yield from group.flush()


def key_of(name: str) -> str:
    """Return the key under which WebDataset groups a member."""
    match = _KEY.fullmatch(name)
    return name if match is None else match[1]


def _metadata(member: Member, bounds: Bounds) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if member.flaw or member.size > MAX_METADATA_BYTES:
        raise member.flaw or Refused(Reason.TOO_MANY_BYTES, f"{member.size} bytes")
    cells = json_object(member.read(None))
    return (
        listing_columns(cells.items(), bounds, _MANY_IMAGES),
        listing_columns(cells.items(), bounds, _MANY_IMAGES**2),
    )


def _is_apple_double(name: str, member: Member) -> bool:
    if not name.rpartition("/")[2].startswith("._") or member.flaw:
        return False
    try:
        return member.read(len(_APPLE_DOUBLE)) == _APPLE_DOUBLE
    except Refused:
        return False


def _item(
    name: str, member: Member, limits: Limits, progress: Progress, seen: KeySet
) -> Item | None:
    """Return the member's item; None where it is not an image."""
    data, refused, bounds = None, member.flaw, progress.bounds
    try:
        if not name:
            refused = Refused(Reason.CORRUPT_CONTAINER, f"member {progress.count} has no name")
        elif len(name) > bounds.max_name:
            detail = f"its name has {len(name)} characters, limit {bounds.max_name} (--max-name)"
            refused = Refused(Reason.CORRUPT_CONTAINER, detail)
        elif has_archive_suffix(name):
            raise Refused(Reason.UNSUPPORTED_FORMAT, "archives within archives are not opened")
        elif not has_image_suffix(name) and (refused or not sniff(member.read(SNIFF_BYTES))):
            return None
        if refused is None and member.is_streamed:
            if member.size > limits.max_bytes:
                detail = f"{member.size} bytes, limit {limits.max_bytes}"
                raise Refused(Reason.TOO_MANY_BYTES, detail)
            data = member.read(None)
    except Refused as error:
        refused = error
    name = _unique(name[: bounds.max_name], progress.count, seen)
    location = member.location
    if name != location.name:
        location = replace(location, name=name)
    if refused is not None:
        return Item.failed(location, refused.reason, refused.detail)
    return Item(location, data=data)


def _unique(name: str, member: int, seen: KeySet) -> str:
    """Return another name for the second member of a name, so that each has its row."""
    unique, number = name, 1
    while not seen.add(hash(unique)):
        # A stranger may give a million members one name.
        number = number + 1 if number < _MAX_TRIES else max(number + 1, member)
        unique = f"{name}#{number}"
    return unique
