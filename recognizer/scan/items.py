"""Where a scan's images come from: files, folders, globs and lists of paths.

Everything here is lazy and in a fixed order, and no image is opened: what an item really is, or
whether it is there at all, is for the reader to find out and for a row to tell.
"""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, BinaryIO

from recognizer.status import Reason

IMAGE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
        *(".tif", ".tiff", ".avif", ".heic", ".heif", ".hif", ".jxl", ".jp2"),
    }
)
"""What is taken from a folder, in lower case. Formats that are not decoded are among them, so
that such a photo gets a row that says so."""

LIST_ON_STDIN = "-"
_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Item:
    """One image to scan.

    Attributes:
        source: its path, as it was given. A name that is no valid text is a ``str`` with lone
            surrogates, as :func:`os.fsdecode` makes it.
        columns: the listing's own columns, passed through to the row; None where there are none.
        reason: why it cannot be read, where that is known already.
        detail: what exactly, in words.
    """

    source: str
    columns: Mapping[str, Any] | None = None
    reason: Reason | None = None
    detail: str | None = None

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
        other_files: files in folders whose names are not those of images.
        hidden: files and folders in folders whose names begin with a dot.
    """

    other_files: int = 0
    hidden: int = 0


def expand(
    sources: Iterable[str | os.PathLike[str]],
    *,
    stdin: BinaryIO | None = None,
    passed: Passed | None = None,
) -> Iterator[Item]:
    """Yield the images that ``sources`` name, lazily.

    A file is taken whatever it is called. A folder is walked in the order of its names; hidden
    entries and other files than images are passed over, and each folder is walked once, whatever
    links lead to it. A pattern (``*``, ``?``, ``[``; ``**`` for any depth) that is not itself a
    file stands for what it matches, as in a shell. ``-`` stands for a list of paths on standard
    input, separated by newlines or NULs. What does not exist is an item too: its row will be
    ``failed``.

    Args:
        sources: paths, patterns and ``-``.
        stdin: read for ``-``; None for standard input.
        passed: counts what is passed over.
    """
    passed = Passed() if passed is None else passed
    for name in sources:
        source = os.fspath(name)
        if source == LIST_ON_STDIN:
            for path in read_list(sys.stdin.buffer if stdin is None else stdin):
                yield from _named(path, passed)
        elif glob.has_magic(source) and not os.path.lexists(source):
            matches = _recursive(source) if "**" in source else sorted(glob.iglob(source))
            for path in matches:
                yield from _named(path, passed)
        else:
            yield from _named(source, passed)


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


def _named(path: str, passed: Passed) -> Iterator[Item]:
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except (OSError, ValueError):  # not there, not allowed, a NUL in the name: the row will tell
        is_folder = False
    if is_folder:
        yield from (
            item
            for item in _walk(path, passed)
            if item.reason is not None or _is_image(item.source, passed)
        )
    else:
        yield Item(path)


def _is_image(path: str, passed: Passed) -> bool:
    if os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES:
        return True
    passed.other_files += 1
    return False


def _walk(root: str, passed: Passed) -> Iterator[Item]:
    """Yield all that is not hidden and no folder, and an item for a folder that stays closed."""
    walked: set[tuple[int, int]] = set()
    # A stack, because a tree may be deeper than Python's recursion limit.
    first: list[tuple[str | None, bool]] = [(root, True)]
    stack = [iter(first)]
    while stack:
        path, is_folder = next(stack[-1], (None, False))
        if path is None:
            stack.pop()
        elif not is_folder:
            yield Item(path)
        else:
            try:
                stack.append(iter(_entries(path, passed, walked)))
            except OSError as error:
                denied = isinstance(error, PermissionError)
                reason = Reason.PERMISSION_DENIED if denied else Reason.READ_ERROR
                yield Item(path, None, reason, f"the folder cannot be listed: {error.strerror}")


def _entries(
    folder: str, passed: Passed, walked: set[tuple[int, int]]
) -> list[tuple[str | None, bool]]:
    """Return the paths in a folder and whether each is a folder; nothing where it was walked."""
    status = os.stat(folder)
    if (status.st_dev, status.st_ino) in walked:
        return []
    walked.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as entries:
        names = sorted((entry.name, _is_folder(entry)) for entry in entries)
    shown = [(name, is_folder) for name, is_folder in names if not name.startswith(".")]
    passed.hidden += len(names) - len(shown)
    return [(os.path.join(folder, name), is_folder) for name, is_folder in shown]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _recursive(pattern: str) -> Iterator[str]:
    """Yield the files that a pattern with ``**`` matches.

    The standard library's own ``**`` follows symbolic links round and round; the walk here does
    not.
    """
    parts = PurePath(pattern).parts
    first = next(i for i, part in enumerate(parts) if "**" in part)
    above = os.path.join(*parts[:first]) if first else ""
    roots = sorted(glob.iglob(above)) if glob.has_magic(above) else [above]
    for root in roots:
        for item in _walk(root or os.curdir, Passed()):
            relative = PurePath(os.path.relpath(item.source, root or os.curdir)).parts
            if item.reason is None and _fits(relative, parts[first:]):
                yield os.path.join(root, *relative)


def _fits(names: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    if not patterns:
        return not names
    if patterns[0] == "**":
        # At the end, ** stands for every file below.
        rest = patterns[1:] or ("*",)
        return any(_fits(names[i:], rest) for i in range(len(names)))
    return bool(names) and fnmatch.fnmatch(names[0], patterns[0]) and _fits(names[1:], patterns[1:])
