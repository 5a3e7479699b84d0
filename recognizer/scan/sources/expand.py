"""From the sources that a scan is given to its items: files, folders, globs and lists of paths.

Everything here is lazy and in a fixed order: what an item really is, or whether it is there at
all, is for the reader to find out and for a row to tell.
"""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from recognizer.scan.items import Item, Passed
from recognizer.scan.sources.folders import images_below, match_below

LIST_ON_STDIN = "-"
_READ_BYTES = 1 << 16


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
            matches = match_below(source) if "**" in source else sorted(glob.iglob(source))
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
        yield from images_below(path, passed)
    else:
        yield Item(path)
