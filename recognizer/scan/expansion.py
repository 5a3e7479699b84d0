"""From the sources that a scan is given to its items, lazily and in a fixed order."""

import glob
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePath
from typing import BinaryIO, cast

from recognizer.errors import UsageError
from recognizer.imaging.formats import SNIFF_BYTES, sniff
from recognizer.imaging.sources import Refused, refusal
from recognizer.rows.scanfile import was_opened_here
from recognizer.scan.items import (
    FileLocation,
    Item,
    Skipped,
    TableLocation,
    Url,
    has_archive_suffix,
    has_image_suffix,
    parse_location,
    path_of,
    table_format,
)
from recognizer.scan.options import ScanOptions
from recognizer.scan.stores import BUCKET_SCHEMES, Store, opened
from recognizer.scan.tables import Table
from recognizer.status import Reason

LIST_ON_STDIN = "-"

_READ_BYTES = 1 << 16


def expand(
    sources: Iterable[str | os.PathLike[str]],
    options: ScanOptions | None = None,
    *,
    stdin: BinaryIO | None = None,
    skipped: Skipped | None = None,
) -> Iterator[Item]:
    """Yield the images that ``sources`` name (docs/sources.md); what does not exist is an item too.

    An empty name and a pattern that matches nothing are a UsageError before anything is yielded; an
    unknown kind of store, and an only source without rows or an image column, in their place.
    """
    options = options or ScanOptions()
    given = [os.fspath(name) for name in sources]
    for name in given:
        if not name:  # a variable of a script that is not set
            raise UsageError("a source without a name: '' is not a file, folder or URL")
        path = path_of(name)
        if path is not None and _is_pattern(path) and next(_matches(path), None) is None:
            raise UsageError(f"{name}: nothing matches")
    return _Expansion(given, options, stdin, Skipped() if skipped is None else skipped).items()


def _is_pattern(path: str) -> bool:
    return glob.has_magic(path) and not os.path.lexists(path)


class _Expansion:
    def __init__(
        self, given: Sequence[str], options: ScanOptions, stdin: BinaryIO | None, skipped: Skipped
    ) -> None:
        self.options = options
        self.given = given
        self.stdin = stdin
        self.skipped = skipped
        self.places = [parse_location(name) for name in given if name != LIST_ON_STDIN]
        # Folders and stores that are sources: tables may name what lies there.
        self.folders = [p for p in self.places if isinstance(p, Url) or os.path.isdir(p)]

    def items(self) -> Iterator[Item]:
        for name in self.given:
            if name == LIST_ON_STDIN:
                # Unbuffered: a thread may be reading when the program ends, and Python would wait
                # in vain for the lock of its buffer.
                buffer = self.stdin or sys.stdin.buffer
                file = self.stdin or cast(BinaryIO, getattr(buffer, "raw", buffer))
                for listed in read_list(file):
                    yield from self._of_name(listed, is_listed=True)
            else:
                yield from self._of_name(name)

    def _of_name(self, given: str, *, is_listed: bool = False) -> Iterator[Item]:
        path = path_of(given)
        if path is not None and not is_listed and _is_pattern(path):
            for found in _matches(path):
                yield from self._of_path(parse_location(found))
            return
        match parse_location(given):
            case Url() as url if url.is_web:
                yield Item(url)
            case Url() as place if is_listed and place.scheme not in BUCKET_SCHEMES:
                detail = f"{place.scheme}:// URLs in a list or table are not followed"
                yield Item.failed(place, Reason.SOURCE_REFUSED, detail)
            # To ask the store of each entry of a list would take longer than to read it.
            case Url() as place if is_listed and not place.endswith("/"):
                yield from self._of_file(place)
            case Url() as place:
                yield from self._below_url(place)
            case location:
                yield from self._of_path(location)

    def _of_path(self, location: TableLocation) -> Iterator[Item]:
        try:
            mode = os.stat(location).st_mode
        except (OSError, ValueError):  # not there, not allowed, a NUL: the row will say
            yield Item(location)
            return
        if not stat.S_ISDIR(mode):
            yield from self._of_file(location)
            return
        root = os.path.realpath(location)
        for found in _walk(root, self.skipped):
            if found.reason is not None:  # a folder that cannot be listed
                yield replace(found, root=root)
            elif _is_image(found.source):
                for item in self._of_file(FileLocation(found.source)):
                    yield replace(item, root=item.root or root)
            else:
                self.skipped.other_files += 1

    def _of_file(self, location: TableLocation) -> Iterator[Item]:
        name = str(location)
        if table_format(name):
            yield from self._table(location)
        # Browsers show a photo that has an archive behind it, whatever its name is.
        elif has_archive_suffix(name) and not _begins_as_image(location):
            yield Item.failed(location, Reason.UNSUPPORTED_FORMAT, "an archive: unpack it first")
        else:
            yield Item(location)

    def _table(self, table: TableLocation) -> Iterator[Item]:
        is_only_source = self.places == [table] and len(self.given) == 1
        opened_table = Table(
            table, self.options, self.folders, self.skipped, is_only_source=is_only_source
        )
        return opened_table.items()

    def _below_url(self, root: Url) -> Iterator[Item]:
        store = Store(root)
        try:
            if has_image_suffix(root) or store.is_object():
                yield from self._of_file(root)
            else:
                for place in store.objects_below():
                    name = place.rpartition("/")[2]
                    # A name without a suffix may be that of an image: its row will say.
                    if has_image_suffix(name) or has_archive_suffix(name) or "." not in name:
                        for item in self._of_file(place):
                            yield replace(item, root=str(root))
                    else:
                        self.skipped.other_files += 1
        except Refused as refused:
            yield Item.failed(root, refused.reason, refused.detail)


def read_list(file: BinaryIO) -> Iterator[str]:
    """Yield the paths of a list, separated by NULs if the first chunk has any, else by newlines."""
    read = getattr(file, "read1", file.read)
    rest, separator, chunk = b"", None, b"..."
    while chunk:
        chunk = read(_READ_BYTES)
        rest += chunk
        separator = separator or next((s for s in (b"\0", b"\n") if s in rest), None)
        entries = rest.split(separator) if separator else [rest]
        rest = entries.pop() if chunk else b""
        for entry in entries:
            if path := entry if separator == b"\0" else entry.removesuffix(b"\r"):
                yield os.fsdecode(path)


def _is_image(path: str) -> bool:
    """Whether a file of a folder is named like an image or an archive, or begins as an image."""
    if has_image_suffix(path) or has_archive_suffix(path):
        return True
    with suppress(Refused, OSError):
        return not was_opened_here(path) and _begins_as_image(FileLocation(path))
    return False


def _begins_as_image(location: TableLocation) -> bool:
    with suppress(Refused, OSError), opened(location) as file:
        return sniff(file.read(SNIFF_BYTES)) is not None
    return False


def _walk(root: str, skipped: Skipped) -> Iterator[Item]:
    """Yield the files below a folder by name, but for hidden ones, each folder once."""
    walked: set[tuple[int, int]] = set()
    stack = [root]  # because a tree may be deeper than Python's recursion limit
    while stack:
        folder = stack.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in walked:
                continue
            walked.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                # Of a link that leads round, DirEntry would raise.
                names = sorted(
                    (e.name, os.path.isdir(e) if e.is_symlink() else e.is_dir()) for e in entries
                )
        except OSError as error:
            refused = refusal(error)
            detail = f"the folder cannot be listed: {refused.detail}"
            yield Item.failed(FileLocation(folder), refused.reason, detail)
            continue
        shown = [(os.path.join(folder, n), is_dir) for n, is_dir in names if not n.startswith(".")]
        skipped.hidden += len(names) - len(shown)
        yield from (Item(FileLocation(path)) for path, is_dir in shown if not is_dir)
        folders = (path for path, is_dir in reversed(shown) if is_dir)
        stack += [os.path.realpath(path) if os.path.islink(path) else path for path in folders]


def _matches(pattern: str) -> Iterator[str]:
    parts = PurePath(pattern).parts
    if "**" not in parts:
        yield from sorted(glob.iglob(pattern))
        return
    first = parts.index("**")
    above = os.path.join("", *parts[:first])
    below = os.path.join(*parts[first:], *["*"] * (parts[-1] == "**"))
    for root in sorted(glob.iglob(above)) if glob.has_magic(above) else [above]:
        # Unlike the module glob, it does not follow links to folders, which may lead round.
        for path in sorted(Path(root).glob(below)):
            is_hidden = any(name.startswith(".") for name in path.relative_to(root).parts)
            if not is_hidden and not path.is_dir():
                yield str(path)
