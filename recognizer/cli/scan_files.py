"""The files that ``recognizer scan`` reads and writes, looked at before it starts."""

from __future__ import annotations

import difflib
import glob
import os
from collections.abc import Sequence
from pathlib import Path

from recognizer._atomic import check_place, require_page
from recognizer.errors import UsageError

_SUFFIX = ".scan.sqlite"


def default_output(sources: Sequence[str]) -> Path:
    """Return a file in this folder, named after what is scanned if that is one thing."""
    from recognizer.scan.items import FileLocation, parse_location

    name = ""
    if len(sources) == 1 and sources[0] != "-" and not glob.has_magic(sources[0]):
        place = parse_location(sources[0])
        if isinstance(place, FileLocation):
            name = os.path.basename(os.path.abspath(place))
        else:
            name = str(place).rstrip("/").rpartition("/")[2]
    name = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in name)
    return Path(f"{name}{_SUFFIX}" if name.strip("._") else _SUFFIX[1:])


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


def check_outputs(output: Path, report: Path | None) -> None:
    """Raise a UsageError, before the scan, unless its files can be written."""
    if str(output) == "-":
        raise UsageError("--output -: a scan is written to a file, from which it is resumed")
    if output.suffix.lower() in {".jsonl", ".csv", ".parquet"}:
        scan = output.with_suffix(".sqlite")
        raise UsageError(
            f"--output {output}: a scan is an SQLite file. Scan with --output {scan}, then: "
            f"recognizer rows {scan} --output {output}"
        )
    check_place(output)
    if report is not None:
        if report.resolve() == output.resolve():
            raise UsageError(f"--report and --output are the same file: {output}")
        require_page(report)
