"""From the sources that a scan is given to its items.

Everything here is lazy and in a fixed order. What an item really is, or whether it is there at
all, is for the reader to find out and for a row to say.
"""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import BinaryIO, cast

from recognizer.errors import UsageError
from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused
from recognizer.rows.item_key import MEMBER
from recognizer.scan.containers.bounds import Bounds, Progress
from recognizer.scan.containers.guard import Containers
from recognizer.scan.containers.opening import Opening
from recognizer.scan.containers.roots import Roots
from recognizer.scan.items import Item, Skipped
from recognizer.scan.location import (
    BUCKET_SCHEMES,
    ArchiveMember,
    Container,
    FileLocation,
    StoreObject,
    WebAddress,
    has_archive_suffix,
    has_image_suffix,
    parse_location,
    table_format,
)
from recognizer.scan.locations.folders import images_below, match_below
from recognizer.scan.locations.reader import Reader
from recognizer.scan.locations.stores import Store
from recognizer.scan.locations.web import Access
from recognizer.status import Reason

LIST_ON_STDIN = "-"
_READ_BYTES = 1 << 16


def expand(
    sources: Iterable[str | os.PathLike[str]],
    *,
    image_column: str | None = None,
    access: Access | None = None,
    limits: Limits | None = None,
    bounds: Bounds | None = None,
    containers: Containers | None = None,
    stdin: BinaryIO | None = None,
    skipped: Skipped | None = None,
) -> Iterator[Item]:
    """Yield the images that ``sources`` name, lazily; what does not exist is an item too.

    Tables (``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson``, ``.parquet``) and archives (``.tar``, also
    compressed, ``.zip``) stand for the images that they name or hold. A folder is walked in the
    order of its names, once, whatever links lead to it; hidden entries, tables and other files are
    skipped. A pattern (``*``, ``?``, ``[``; ``**`` for any depth) that is not itself a file stands
    for what it matches. A URL names an object, a prefix, a table, an archive or a pattern in a
    store that fsspec knows, or an image on the web.

    Args:
        sources: paths, patterns, URLs, and ``-`` for a list of all these but patterns on standard
            input, separated by newlines or NULs.
        image_column: the column with the images of all tables; None to find it by its name.
        access: which places may be read from; None for all but the web.
        limits: larger members of archives are not read.
        bounds: what a table or an archive may cost.
        containers: opens them; None for a process that lives as long as the iteration.
        stdin: read for ``-``; None for standard input.
        skipped: counts what is skipped.

    Raises:
        MissingExtraError: a library for a table or a store is not installed.
        UsageError: an empty name, a pattern that matches nothing, a web URL without permission, an
            unknown kind of store, or a table without an image column that is the only source. The
            first three are raised before anything is yielded.
    """
    access = access or Access()
    names = [os.fspath(name) for name in sources]
    for name in names:
        if not name:  # a variable of a script that is not set
            raise UsageError("a source without a name: '' is not a file, folder or URL")
        location = parse_location(name)
        if isinstance(location, WebAddress) and not access.allow_http:
            raise UsageError(f"{name}: web URLs need --allow-http")
        if _is_pattern(location) and next(_matches(str(location)), None) is None:
            raise UsageError(f"{name}: nothing matches")
    expansion = _Expansion(
        names=names,
        image_column=image_column,
        access=access,
        limits=limits or Limits(),
        bounds=bounds or Bounds(),
        containers=containers or Containers(),
        stdin=stdin,
        skipped=Skipped() if skipped is None else skipped,
    )
    return expansion.items(is_last=containers is None)


def _with_bytes(item: Item) -> Item:
    location = item.location  # memory:// belongs to this process: no worker could read there
    place = location.archive if isinstance(location, ArchiveMember) else location
    is_in_memory = isinstance(place, StoreObject) and place.scheme == "memory"
    if item.reason or item.data is not None or not is_in_memory:
        return item
    try:
        return replace(item, data=Reader(Limits(), Access()).read(item))
    except Refused as refused:
        return replace(item, reason=refused.reason, detail=refused.detail)


def _is_pattern(location: object) -> bool:
    if not isinstance(location, FileLocation):
        return False
    return glob.has_magic(location.path) and not os.path.lexists(location.path)


def _matches(pattern: str) -> Iterator[str]:
    return match_below(pattern) if "**" in pattern else iter(sorted(glob.iglob(pattern)))


@dataclass(frozen=True, kw_only=True)
class _Expansion:
    names: Sequence[str]
    image_column: str | None
    access: Access
    limits: Limits
    bounds: Bounds
    containers: Containers
    stdin: BinaryIO | None
    skipped: Skipped

    @cached_property
    def folders(self) -> Sequence[Container]:
        """Folders and stores that are sources: tables may name what lies there."""
        places = [parse_location(name) for name in self.names]
        return [
            place
            for place in places
            if isinstance(place, StoreObject)
            or (isinstance(place, FileLocation) and os.path.isdir(place.path))
        ]

    def items(self, *, is_last: bool) -> Iterator[Item]:
        try:
            yield from map(_with_bytes, chain.from_iterable(map(self.of_source, self.names)))
        finally:
            if is_last:
                self.containers.close()

    def of_source(self, name: str) -> Iterator[Item]:
        if name == LIST_ON_STDIN:
            # Unbuffered: a thread may be reading when the program ends, and Python would wait in
            # vain for the lock of its buffer.
            file = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
            for entry in read_list(self.stdin or cast(BinaryIO, file)):
                yield from self._of_entry(entry)
            return
        match parse_location(name):
            case WebAddress() as address:
                yield Item(address)
            case StoreObject() as place:
                yield from self._below_url(place)
            case FileLocation(pattern) as location if _is_pattern(location):
                for path in _matches(pattern):
                    yield from self._of_path(FileLocation(path))
            case location:
                yield from self._of_path(location)

    def _of_entry(self, name: str) -> Iterator[Item]:
        location = parse_location(name)
        if isinstance(location, FileLocation):
            yield from self._of_path(location)
        elif isinstance(location, WebAddress):
            yield Item(location)
        elif location.scheme not in BUCKET_SCHEMES:
            detail = f"{location.scheme}:// URLs in a list or table are not followed"
            yield Item.failed(location, Reason.SOURCE_REFUSED, detail)
        elif name.endswith("/"):
            yield from self._below_url(location)
        else:  # taken for an object: to ask the store of each would take longer than to read it
            yield from self._of_file(location)

    def _of_path(self, location: FileLocation) -> Iterator[Item]:
        try:
            mode = os.stat(location.path).st_mode
        except (OSError, ValueError):  # not there, not allowed, a NUL: the row will say
            yield from self._of_missing(location)
            return
        if not stat.S_ISDIR(mode):
            yield from self._of_file(location)
            return
        for item in images_below(location.path, self.skipped):
            yield from [item] if item.reason else self._of_file(FileLocation(item.source))

    def _of_missing(self, location: FileLocation) -> Iterator[Item]:
        # It may be the member of an archive, as a row calls it.
        archive, mark, _ = location.path.partition(MEMBER)
        if not (mark and has_archive_suffix(archive)):
            yield Item(location)
            return
        wanted = {archive, location.path}
        found = (item for item in self._of_file(FileLocation(archive)) if item.source in wanted)
        missing = Item.failed(location, Reason.NOT_FOUND, "the archive has no such member")
        yield next(found, missing)

    def _of_file(self, location: Container) -> Iterator[Item]:
        name = str(location)
        if not (table_format(name) or has_archive_suffix(name)):
            yield Item(location)
            return
        opening = Opening(
            container=location,
            image_column=self.image_column,
            limits=self.limits,
            bounds=self.bounds,
            roots=Roots.of(location, self.folders, self.access),
            is_only_source=len(self.names) == 1 and self.names[0] == name,
        )
        if isinstance(location, StoreObject) and location.scheme == "memory":
            opening = replace(opening, is_careful=True)  # of this process, which will not die
            yield from opening.items(Progress(self.bounds), self.skipped)
        else:
            yield from self.containers.items(opening, self.skipped)

    def _below_url(self, place: StoreObject) -> Iterator[Item]:
        store = Store(place)
        try:
            if store.is_pattern:
                found = None
                for found in store.matches():
                    yield from self._of_file(found)
                if found is None:
                    raise UsageError(f"{place}: nothing matches")
            elif has_image_suffix(place.url) or store.is_object():
                yield from self._of_file(place)
            else:
                for found in store.objects_below():
                    name = found.url.rpartition("/")[2]
                    # A name without a suffix may be that of an image: its row will say.
                    if has_image_suffix(name) or has_archive_suffix(name) or "." not in name:
                        yield from self._of_file(found)
                    else:
                        self.skipped.other_files += 1
        except Refused as refused:
            yield Item.failed(place, refused.reason, refused.detail)


def read_list(file: BinaryIO) -> Iterator[str]:
    """Yield the paths of a list, as they come.

    NUL separates them where one stands among the bytes up to the first separator that was read
    with it, else newline (with or without a carriage return before it). Empty entries are left
    out.
    """
    read = getattr(file, "read1", file.read)
    rest, separator = b"", None
    while chunk := read(_READ_BYTES):
        rest += chunk
        if separator is None:
            separator = b"\0" if b"\0" in rest else b"\n" if b"\n" in rest else None
        if separator is not None:
            *entries, rest = rest.split(separator)
            yield from _decoded(entries, separator)
    yield from _decoded([rest], separator or b"\n")


def _decoded(entries: Iterable[bytes], separator: bytes) -> Iterator[str]:
    for entry in entries:
        path = entry.removesuffix(b"\r") if separator == b"\n" else entry
        if path:
            yield os.fsdecode(path)
