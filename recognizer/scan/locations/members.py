"""From the members of an archive to items, by the layout of WebDataset.

Members of one key (the name up to the first dot of its last part) belong together: the ``.json``
among them holds the columns of the images. Other members are passed over.

Source: https://github.com/webdataset/webdataset, "The WebDataset Format".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from recognizer.imaging.formats import SNIFF_BYTES, sniff
from recognizer.imaging.sources import Refused
from recognizer.scan.items import Item, Passed, Span
from recognizer.scan.locations.names import MEMBER, is_archive, is_image
from recognizer.scan.locations.values import columns_of_json
from recognizer.status import Reason

MOST_METADATA_BYTES = 1 << 20
"""A larger ``.json`` is no listing's."""

# An archive may have one key for all that it holds. What has waited so long goes on its way
# without metadata.
_MOST_WAITING = 32
_MOST_WAITING_BYTES = 64 << 20

_KEY = re.compile(r"((?:.*/)?[^/.]+)\.[^/]*", re.DOTALL)


class Member(Protocol):
    """A file in an archive.

    Attributes:
        name: as the archive has it.
        flaw: why it cannot be read, as far as that is known already.
    """

    name: str
    flaw: Refused | None

    def head(self, size: int) -> bytes:
        """Return its first bytes; raise :class:`Refused`."""

    def content(self) -> bytes | Span:
        """Return its bytes, or where they lie; raise :class:`Refused`."""

    def metadata(self, limit: int) -> bytes:
        """Return its bytes, up to a limit; raise :class:`Refused`."""


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
        self.waiting_bytes += len(item.data) if isinstance(item.data, bytes) else 0
        if (
            self.columns is not None
            or len(self.waiting) >= _MOST_WAITING
            or self.waiting_bytes >= _MOST_WAITING_BYTES
        ):
            yield from self.flush()


def items_of(archive: str, members: Iterable[Member], passed: Passed) -> Iterator[Item]:
    """Yield an item for each image in an archive, and for each flaw.

    Args:
        archive: path or URL of the archive.
        members: what it holds; may raise :class:`Refused` when nothing more can be read.
        passed: counts what is passed over.
    """
    group = _Group()
    seen: set[int] = set()
    last: str | None = None
    try:
        for member in members:
            name = last = member.name.removeprefix("./")
            if any(part.startswith(".") for part in name.split("/")) or "__MACOSX/" in name:
                passed.hidden += 1
                continue
            key = key_of(name)
            if key != group.key:
                yield from group.flush()
                group = _Group(key)
            if name.lower().endswith(".json"):
                try:
                    group.columns = columns_of_json(member.metadata(MOST_METADATA_BYTES))
                except (Refused, ValueError):
                    passed.bad_metadata += 1
                yield from group.flush()
            elif (item := _item(archive, name, member)) is None:
                passed.other_files += 1
            else:
                yield from group.add(_unrepeated(item, seen))
    except Refused as refused:
        yield from group.flush()
        where = "" if last is None else f"; nothing behind {last!r} was read"
        yield Item(archive, None, refused.reason, f"{refused.detail}{where}")
    else:
        yield from group.flush()


def key_of(name: str) -> str:
    """Return the key under which WebDataset groups a member."""
    match = _KEY.fullmatch(name)
    return name if match is None else match[1]


def _item(archive: str, name: str, member: Member) -> Item | None:
    """Return the member's item; None where it is no image."""
    source = f"{archive}{MEMBER}{name}"
    try:
        if is_archive(name):
            raise Refused(Reason.UNSUPPORTED_FORMAT, "archives within archives are not opened")
        if not is_image(name) and (member.flaw or not sniff(member.head(SNIFF_BYTES))):
            return None
        if member.flaw:
            raise member.flaw
        return Item(source, data=member.content())
    except Refused as refused:
        return Item(source, None, refused.reason, refused.detail)


def _unrepeated(item: Item, seen: set[int]) -> Item:
    """Give the second member of a name another source: both are scanned, and each has its row."""
    source, number = item.source, 1
    while hash(source) in seen:
        number += 1
        source = f"{item.source}#{number}"
    seen.add(hash(source))
    return replace(item, source=source)
