"""Exchange files: known items that two organisations can share without sharing images.

A ``.csv`` holds all of an item, a ``.txt`` its hash alone, one on a line, which is what
ThreatExchange's tools and most hash lists read and write. A PDQ hash is not an image, but whoever
has the same image can find out that it is listed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import astuple, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from recognizer._atomic import replacing, require_own
from recognizer.errors import BankError
from recognizer.known.bank import KnownItem
from recognizer.known.hashes import is_hash
from recognizer.policy import Finding

SIGNAL_TYPE = "pdq"
_REST = tuple(field.name for field in fields(KnownItem) if field.name != "pdq")
_COLUMNS = ("signal_type", "signal_value", *_REST)
_REQUIRED = _COLUMNS[:4]
_SUFFIXES = (".csv", ".txt")
_MAX_BYTES = 256 << 20  # it is held in memory


def is_exchange(path: Path) -> bool:
    """Return whether a file is called as exchange files are."""
    return path.suffix.lower() in _SUFFIXES


def _is_list(path: Path) -> bool:
    if not is_exchange(path):
        raise BankError(f"{path}: the name must end in {' or '.join(_SUFFIXES)}")
    return path.suffix.lower() == ".txt"


def write_exchange(items: Iterable[KnownItem], path: Path) -> int:
    """Write items to a new exchange file, in one step, and return how many."""
    is_list = _is_list(path)
    require_own(path, "exchange file", _begins_as_one)
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        if is_list:
            # A hash alone is read as a product: a cleared image must not come back as one.
            hashes = {item.pdq: None for item in items if item.finding is Finding.PRODUCT}
            file.writelines(f"{hash_}\n" for hash_ in hashes)
            return len(hashes)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        count = 0
        for count, item in enumerate(items, 1):  # noqa: B007 - the last number is the count
            writer.writerow((SIGNAL_TYPE, *astuple(item)))
        return count


def _begins_as_one(file: BinaryIO) -> bool:
    """Return whether a file begins as those that are written here."""
    head = file.read(80).decode("utf-8", "replace")
    return head.startswith(",".join(_COLUMNS[:3])) or is_hash(head.partition("\n")[0])


def read_exchange(path: Path, *, origin: str | None = None) -> list[KnownItem]:
    """Read and check an exchange file; ``origin``, or its name, is for items that have none."""
    read = _listed if _is_list(path) else _rows
    try:
        if path.exists() and not path.is_file():
            raise BankError(f"{path} is not a regular file")
        if path.stat().st_size > _MAX_BYTES:
            raise BankError(
                f"{path} has more than {_MAX_BYTES >> 20} MiB: split it, and import its parts one "
                "by one"
            )
        text = path.read_text(encoding="utf-8-sig")
        modified = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()
    except (OSError, UnicodeDecodeError) as error:
        raise BankError(f"{path} cannot be read: {error}") from error
    found, line = [], 1
    try:
        for number, row in read(text, modified):
            line = number
            if row["signal_type"] != SIGNAL_TYPE:
                raise BankError(f"signal_type = {row['signal_type']!r}: only {SIGNAL_TYPE} is read")
            values = {key: row.get(key) or None for key in _REST}
            values["origin"] = values["origin"] or origin or path.name
            found.append(KnownItem(pdq=row["signal_value"].lower(), **values))  # type: ignore[arg-type]
    except (BankError, csv.Error) as error:
        raise BankError(f"{path}: line {line}: {error}") from error
    return found


def _rows(text: str, _modified: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), restval="", strict=True)
    names = reader.fieldnames or ()
    for name in _REQUIRED:
        if name not in names:
            raise BankError(f"no column {name}")
    for row in reader:
        if unknown := [name for name in row if name not in _COLUMNS]:
            raise BankError(f"line {reader.line_num}: unknown column {unknown[0] or 'at its end'}")
        yield reader.line_num, row


def _listed(text: str, modified: str) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            # The file's time, not now: reading it twice must add nothing.
            cells = (SIGNAL_TYPE, line.strip(), Finding.PRODUCT, modified)
            yield number, dict(zip(_REQUIRED, cells, strict=True))
