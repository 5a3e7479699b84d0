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

from recognizer.imaging import Limits
from recognizer.imaging.formats import SNIFF_BYTES, sniff
from recognizer.imaging.sources import Refused
from recognizer.scan.items import Item, Skipped
from recognizer.scan.location import (
    ArchiveMember,
    Container,
    has_archive_suffix,
    has_image_suffix,
)
from recognizer.scan.locations.values import columns_of_json
from recognizer.status import Reason

MAX_METADATA_BYTES = 1 << 20
"""A larger ``.json`` is not metadata."""

# An archive may have one key for all that it holds. Images that have waited so long are scanned
# without metadata.
_MAX_WAITING = 32
_MAX_WAITING_BYTES = 64 << 20

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
    waiting: list[Item] = field(default_factory=list)
    waiting_bytes: int = 0

    def flush(self) -> Iterator[Item]:
        for item in self.waiting:
            yield replace(item, columns=self.columns)
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
    archive: Container, members: Iterable[Member], limits: Limits, skipped: Skipped
) -> Iterator[Item]:
    """Yield an item for each image in an archive, and for each flaw.

    ``members`` may raise :class:`Refused` when nothing more can be read.
    """
    group = _Group()
    seen: set[int] = set()
    last: str | None = None
    try:
        for member in members:
            name = last = member.location.name.removeprefix("./")
            if any(part.startswith(".") for part in name.split("/")) or "__MACOSX/" in name:
                skipped.hidden += 1
                continue
            key = key_of(name)
            if key != group.key:
                yield from group.flush()
                group = _Group(key)
            if name.lower().endswith(".json"):
                try:
                    group.columns = _metadata(member)
                except (Refused, ValueError):
                    skipped.bad_metadata += 1
                yield from group.flush()
            elif (item := _item(name, member, limits, seen)) is None:
                skipped.other_files += 1
            else:
                yield from group.add(item)
    except Refused as refused:
        yield from group.flush()
        where = "" if last is None else f"; nothing after {last!r} was read"
        yield Item.failed(archive, refused.reason, f"{refused.detail}{where}")
    else:
        yield from group.flush()


def key_of(name: str) -> str:
    """Return the key under which WebDataset groups a member."""
    match = _KEY.fullmatch(name)
    return name if match is None else match[1]


def _metadata(member: Member) -> Mapping[str, Any]:
    if member.flaw or member.size > MAX_METADATA_BYTES:
        raise member.flaw or Refused(Reason.TOO_MANY_BYTES, f"{member.size} bytes")
    return columns_of_json(member.read(None))


def _item(name: str, member: Member, limits: Limits, seen: set[int]) -> Item | None:
    """Return the member's item; None where it is not an image."""
    data, refused = None, member.flaw
    try:
        if has_archive_suffix(name):
            raise Refused(Reason.UNSUPPORTED_FORMAT, "archives within archives are not opened")
        if not has_image_suffix(name) and (refused or not sniff(member.read(SNIFF_BYTES))):
            return None
        if refused is None and member.is_streamed:
            if member.size > limits.max_bytes:
                detail = f"{member.size} bytes, limit {limits.max_bytes}"
                raise Refused(Reason.TOO_MANY_BYTES, detail)
            data = member.read(None)
    except Refused as error:
        refused = error
    location = replace(member.location, name=_unique(name, seen))
    if refused is not None:
        return Item.failed(location, refused.reason, refused.detail)
    return Item(location, data=data)


def _unique(name: str, seen: set[int]) -> str:
    """Return another name for the second member of a name, so that each has its row."""
    unique, number = name, 1
    while hash(unique) in seen:
        number += 1
        unique = f"{name}#{number}"
    seen.add(hash(unique))
    return unique
