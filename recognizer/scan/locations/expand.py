"""From the sources that a scan is given to its items.

Everything here is lazy and in a fixed order. What an item really is, or whether it is there at
all, is for the reader to find out and for a row to tell.
"""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import BinaryIO

from recognizer.errors import RecognizerError, UsageError
from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused
from recognizer.scan.items import Item, Passed, Span
from recognizer.scan.locations.access import Access
from recognizer.scan.locations.folders import images_below, match_below
from recognizer.scan.locations.members import items_of
from recognizer.scan.locations.names import (
    MEMBER,
    ZIP_SUFFIX,
    is_archive,
    is_image,
    is_url,
    is_web,
    scheme_of,
    table_format,
    without_file_scheme,
)
from recognizer.scan.locations.reader import Reader
from recognizer.scan.locations.stores import BUCKET_SCHEMES, Store, has_magic
from recognizer.scan.locations.tables import listed, table_items
from recognizer.scan.locations.tars import tar_members
from recognizer.scan.locations.zips import zip_members
from recognizer.scan.shards import Shard
from recognizer.status import Reason

LIST_ON_STDIN = "-"
_READ_BYTES = 1 << 16


def expand(
    sources: Iterable[str | os.PathLike[str]],
    *,
    image_column: str | None = None,
    access: Access | None = None,
    limits: Limits | None = None,
    stdin: BinaryIO | None = None,
    passed: Passed | None = None,
) -> Iterator[Item]:
    """Yield the images that ``sources`` name, lazily.

    A file is taken whatever it is called, unless it is a table (``.csv``, ``.tsv``, ``.jsonl``,
    ``.ndjson``, ``.parquet``) or an archive (``.tar``, also packed, ``.zip``): those stand for the
    images that they name or hold. A folder is walked in the order of its names; hidden entries,
    tables and other files than images are passed over, and each folder is walked once, whatever
    links lead to it. A pattern (``*``, ``?``, ``[``; ``**`` for any depth) that is not itself a
    file stands for what it matches, as in a shell. A URL is one of an object, a prefix, a table,
    an archive or a pattern in a store that fsspec knows, or of an image in the web. ``-`` stands
    for a list of all these but patterns on standard input, separated by newlines or NULs. What
    does not exist is an item too: its row will be ``failed``.

    Args:
        sources: paths, patterns, URLs and ``-``.
        image_column: the column with the images of all tables; None to find it by its name.
        access: which places may be read from; None for all but the web.
        limits: larger members of archives are not read.
        stdin: read for ``-``; None for standard input.
        passed: counts what is passed over.

    Raises:
        MissingExtraError: a library for a table or a store is not installed.
        UsageError: a name without a character, a pattern that matches nothing, a URL of the web
            without leave, an unknown kind of store, or a table without a column of images. The
            first three are raised before anything is yielded.
    """
    access = access or Access()
    expansion = _Expansion(
        image_column, limits or Limits(), stdin, Passed() if passed is None else passed
    )
    names = [without_file_scheme(os.fspath(name)) for name in sources]
    for name in names:
        if not name:  # a variable of a script that is not set
            raise UsageError("a source without a name: '' is no file, folder or URL")
        if is_web(name) and not access.allow_http:
            raise UsageError(f"{name}: the web is not read without --allow-http")
        if _is_pattern(name) and next(_matches(name), None) is None:
            raise UsageError(f"{name}: nothing matches")
    return map(_carried, chain.from_iterable(map(expansion.given, names)))


def count(
    sources: Iterable[str | os.PathLike[str]],
    shard: Shard | None = None,
    *,
    image_column: str | None = None,
) -> int | None:
    """Count the images that :func:`expand` would yield; None where that would take reading them.

    Args:
        sources: see :func:`expand`.
        shard: the part of them that is counted; None for all.
        image_column: see :func:`expand`.
    """
    counting = _Counting(image_column, Limits(), None, Passed())
    names = [without_file_scheme(os.fspath(name)) for name in sources]
    items = chain.from_iterable(map(counting.given, names))
    try:
        return sum(1 for _ in (shard or Shard(1, 1)).of(items))
    except (_UncountableError, RecognizerError):
        return None


def _carried(item: Item) -> Item:
    """Give an item its bytes where no worker could read them: ``memory://`` is of one process."""
    place = item.data.archive if isinstance(item.data, Span) else item.source
    if item.reason or isinstance(item.data, bytes) or not place.lower().startswith("memory://"):
        return item
    try:
        return replace(item, data=Reader(Limits(), Access()).read(item))
    except Refused as refused:
        return replace(item, data=None, reason=refused.reason, detail=refused.detail)


def _is_pattern(name: str) -> bool:
    return glob.has_magic(name) and not is_url(name) and not os.path.lexists(name)


def _matches(pattern: str) -> Iterator[str]:
    return match_below(pattern) if "**" in pattern else iter(sorted(glob.iglob(pattern)))


class _Expansion:
    """What :func:`expand` was asked for."""

    def __init__(
        self, image_column: str | None, limits: Limits, stdin: BinaryIO | None, passed: Passed
    ) -> None:
        self._image_column = image_column
        self._limits = limits
        self._stdin = stdin
        self._passed = passed

    def given(self, name: str) -> Iterator[Item]:
        """Yield the images of a source that the user named."""
        if name == LIST_ON_STDIN:
            for entry in read_list(self._stdin or sys.stdin.buffer):
                yield from self._entry(without_file_scheme(entry))
        elif is_web(name):
            yield Item(name)
        elif is_url(name):
            yield from self._below_url(name)
        elif _is_pattern(name):
            for path in _matches(name):
                yield from self._path(path)
        else:
            yield from self._path(name)

    def _entry(self, name: str) -> Iterator[Item]:
        """Yield the images of an entry of a list."""
        if not is_url(name):
            yield from self._path(name)
        elif is_web(name) or scheme_of(name) not in BUCKET_SCHEMES:
            yield listed(name)
        elif name.endswith("/"):
            yield from self._below_url(name)
        else:  # taken for an object: to ask the store of each would take longer than to read it
            yield from self._file(name)

    def _path(self, path: str) -> Iterator[Item]:
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError):  # not there, not allowed, a NUL: the row will tell
            yield from self._member(path)
            return
        if stat.S_ISDIR(mode):
            for item in images_below(path, self._passed):
                yield from [item] if item.reason else self._file(item.source)
        else:
            yield from self._file(path)

    def _member(self, name: str) -> Iterator[Item]:
        """Yield the member of an archive that a row calls so, or the item that is not there."""
        archive, mark, _ = name.partition(MEMBER)
        if mark and is_archive(archive):
            found = (item for item in self._file(archive) if item.source in {name, archive})
            yield next(found, Item(name, None, Reason.NOT_FOUND, "the archive has no such member"))
        else:
            yield Item(name)

    def _file(self, name: str) -> Iterator[Item]:
        """Yield the images of a file or an object."""
        if table_format(name):
            yield from table_items(name, self._image_column, self._passed)
        elif name.lower().endswith(ZIP_SUFFIX):
            yield from items_of(name, zip_members(name), self._passed)
        elif is_archive(name):
            yield from items_of(name, tar_members(name, self._limits), self._passed)
        else:
            yield Item(name)

    def _below_url(self, url: str) -> Iterator[Item]:
        """Yield the images of an object, of all below a prefix, or of a pattern."""
        store = Store(url)
        try:
            if has_magic(url):
                found = None
                for found in store.matches():
                    yield from self._file(found)
                if found is None:
                    raise UsageError(f"{url}: nothing matches")
            elif is_image(url) or store.is_object():
                yield from self._file(url)
            else:
                for found in store.objects_below():
                    # A name without a suffix may be that of an image: its row will tell.
                    if is_image(found) or is_archive(found) or "." not in found.rpartition("/")[2]:
                        yield from self._file(found)
                    else:
                        self._passed.other_files += 1
        except Refused as refused:
            yield Item(url, None, refused.reason, refused.detail)


class _UncountableError(Exception):
    """To count the images, they would have to be read."""


class _Counting(_Expansion):
    def given(self, name: str) -> Iterator[Item]:
        if name == LIST_ON_STDIN or (is_url(name) and not is_web(name)):
            raise _UncountableError
        return super().given(name)

    def _file(self, name: str) -> Iterator[Item]:
        is_streamed = is_archive(name) and not name.lower().endswith((".tar", ZIP_SUFFIX))
        if is_streamed or table_format(name) == ".parquet":
            raise _UncountableError
        return super()._file(name)


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
