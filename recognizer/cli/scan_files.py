"""The files that ``recognizer scan`` writes: where the journal goes, and whether all can be put."""

from __future__ import annotations

import difflib
import glob
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from recognizer._atomic import check_place, require_page
from recognizer.errors import UsageError

_SUFFIX = ".scan.jsonl"


def default_journal(sources: Sequence[str]) -> Path:
    """Return the journal in this folder that is named after what is scanned.

    That is a folder, a table, an archive or a prefix of a store; of several, or of single images,
    the folder that holds them all. A list on standard input has no name: ``scan.jsonl``.
    """
    from recognizer.scan.items import FileLocation, parse_location

    places = [parse_location(source) for source in sources if source != "-"]
    if len(places) == len(sources) == 1 and not isinstance(places[0], FileLocation):
        name = str(places[0]).rstrip("/").rpartition("/")[2]
    elif len(places) == len(sources) and all(isinstance(place, FileLocation) for place in places):
        try:
            name = os.path.basename(os.path.commonpath([*map(_container, map(str, places))]))
        except ValueError:  # on several drives
            name = ""
    else:
        name = ""
    name = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in name)
    return Path(f"{name}{_SUFFIX}" if name.strip("._") else _SUFFIX[1:])


def _container(path: str) -> str:
    """Return the folder, table or archive that a path names, or else the folder around it."""
    from recognizer.scan.items import has_archive_suffix, table_format

    absolute = os.path.abspath(path)
    is_container = os.path.isdir(path) or has_archive_suffix(path) or table_format(path) is not None
    while not is_container:
        absolute = os.path.dirname(absolute)
        is_container = os.path.isdir(absolute)
    return absolute


def require_sources(sources: Sequence[str]) -> None:
    """Raise a UsageError if no local source exists. If only some are missing, each has its row."""
    from recognizer.rows.item_key import MEMBER
    from recognizer.scan.items import FileLocation, parse_location

    for source in sources:
        location = parse_location(source)
        is_plain = isinstance(location, FileLocation) and source != "-" and MEMBER not in source
        if not is_plain or glob.has_magic(source) or os.path.lexists(str(location)):
            return
    if sources and sources[0]:
        folder, name = os.path.split(sources[0].rstrip(os.sep))
        try:
            names = os.listdir(folder or os.curdir)
        except OSError:
            names = []
        close = difflib.get_close_matches(name, names, n=1)
        meant = f"; did you mean {os.path.join(folder, close[0])}?" if close else ""
        raise UsageError(f"{sources[0]}: no such file or folder{meant}")


def check_outputs(output: Path, report: Path | None, embeddings: Path | None) -> None:
    """Raise a UsageError, before the scan, unless its files can be written."""
    if str(output) == "-":
        raise UsageError(
            "--output -: rows go to a file, from which a scan is resumed; name one, and follow it "
            "with: tail -f"
        )
    check_place(output)
    paths = {"--output": output, "--report": report, "--embeddings": embeddings}
    given = [(option, path) for option, path in paths.items() if path is not None]
    for (one, path), (other, same) in itertools.combinations(given, 2):
        if path.resolve() == same.resolve():
            raise UsageError(f"{other} and {one} are the same file: {path}")
    if report is not None:
        require_page(report)
