"""Folders, walked to the bottom, and patterns with ``**``."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePath

from recognizer.imaging import Limits
from recognizer.imaging.formats import SNIFF_BYTES, sniff
from recognizer.imaging.sources import Refused, read_path
from recognizer.rows.scanfile import is_open_here
from recognizer.scan.items import Item, Skipped
from recognizer.scan.location import FileLocation, has_archive_suffix, has_image_suffix
from recognizer.status import Reason


def images_below(folder: str, skipped: Skipped) -> Iterator[Item]:
    """Yield the images and archives below a folder, in the order of names.

    An image is a file that is named like one, or whose first bytes say so. Hidden entries are
    skipped, and each folder is walked once, whatever links lead to it.
    """
    for item in _walk(folder, skipped):
        name = item.source
        if (
            item.reason
            or has_image_suffix(name)
            or has_archive_suffix(name)
            or _begins_as_image(name)
        ):
            yield item
        else:
            skipped.other_files += 1


def _begins_as_image(path: str) -> bool:
    if is_open_here(path):
        return False
    with suppress(Refused):
        return sniff(read_path(path, Limits(), head=SNIFF_BYTES)) is not None
    return False


def _walk(root: str, skipped: Skipped) -> Iterator[Item]:
    walked: set[tuple[int, int]] = set()
    # A stack, because a tree may be deeper than Python's recursion limit.
    first: list[tuple[str | None, bool]] = [(root, True)]
    stack = [iter(first)]
    while stack:
        path, is_folder = next(stack[-1], (None, False))
        if path is None:
            stack.pop()
        elif not is_folder:
            yield Item(FileLocation(path))
        else:
            try:
                stack.append(iter(_entries(path, skipped, walked)))
            except OSError as error:
                denied = isinstance(error, PermissionError)
                reason = Reason.PERMISSION_DENIED if denied else Reason.READ_ERROR
                detail = f"the folder cannot be listed: {error.strerror}"
                yield Item.failed(FileLocation(path), reason, detail)


def _entries(
    folder: str, skipped: Skipped, walked: set[tuple[int, int]]
) -> list[tuple[str | None, bool]]:
    status = os.stat(folder)
    if (status.st_dev, status.st_ino) in walked:
        return []
    walked.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as entries:
        names = sorted((entry.name, _is_folder(entry)) for entry in entries)
    shown = [(name, is_folder) for name, is_folder in names if not name.startswith(".")]
    skipped.hidden += len(names) - len(shown)
    return [(os.path.join(folder, name), is_folder) for name, is_folder in shown]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def match_below(pattern: str) -> Iterator[str]:
    """Yield the files that a pattern with ``**`` matches, in the order of the walk.

    The standard library's own ``**`` follows symbolic links round and round; the walk here does
    not.
    """
    parts = PurePath(pattern).parts
    first = next(i for i, part in enumerate(parts) if "**" in part)
    above = os.path.join(*parts[:first]) if first else ""
    roots = sorted(glob.iglob(above)) if glob.has_magic(above) else [above]
    for root in roots:
        for item in _walk(root or os.curdir, Skipped()):
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
