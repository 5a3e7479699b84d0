"""Exchange files: known items that two organisations can share without sharing images.

``.json`` and ``.csv`` hold all of an item, ``.txt`` its hash alone, one on a line, which is what
ThreatExchange's tools and most hash lists read and write. A PDQ hash is not an image, but whoever
has the same image can find out that it is listed.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

from recognizer._atomic import replacing, require_own
from recognizer.errors import BankError
from recognizer.known.bank import KnownItem
from recognizer.known.hashes import is_hash
from recognizer.policy import Finding

FORMAT = "wildlife-known-items"
VERSION = 1
_MAX_BYTES = 256 << 20  # it is held in memory
SIGNAL_TYPE = "pdq"


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    signal_type: Literal["pdq"]
    signal_value: str
    finding: str
    time: str
    label: str | None = None
    note: str | None = None
    by: str | None = None
    origin: str | None = None


_KEYS = tuple(field.name for field in fields(KnownItem) if field.name != "pdq")
_COLUMNS = ("signal_type", "signal_value", *_KEYS)
_BEGINNINGS = (json.dumps({"format": FORMAT})[:-1], "signal_type,signal_value,")
_HEAD_BYTES = 80  # the longest of these is the line of a hash


def write_exchange(items: Iterable[KnownItem], path: Path) -> int:
    """Write items to a new exchange file, in one step, and return how many."""
    write, _ = _form(path)
    require_own(path, "exchange file", _begins_as_one)
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        return write(items, file)


def _begins_as_one(file: BinaryIO) -> bool:
    """Return whether a file begins as those that are written here."""
    head = file.read(_HEAD_BYTES).decode("utf-8", "replace")
    return head.startswith(_BEGINNINGS) or is_hash(head.partition("\n")[0])


def read_exchange(path: Path, *, origin: str | None = None) -> list[KnownItem]:
    """Read and check an exchange file; ``origin``, or its name, is for items that have none."""
    _, read = _form(path)
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
    try:
        return [_item(where, values, origin or path.name) for where, values in read(text, modified)]
    except BankError as error:
        raise BankError(f"{path}: {error}") from error


def _item(where: str, values: object, origin: str) -> KnownItem:
    try:
        entry = msgspec.convert(values, _Entry)
        if not is_hash(entry.signal_value.lower()):
            raise BankError(
                f"signal_value = {entry.signal_value!r}: a PDQ hash has 64 hexadecimal digits"
            )
        kept = {key: getattr(entry, key) for key in _KEYS}
        kept["origin"] = entry.origin or origin
        return KnownItem(pdq=entry.signal_value.lower(), **kept)
    except (BankError, msgspec.ValidationError) as error:
        raise BankError(f"{where}: {error}") from error


# --- the three forms ------------------------------------------------------------------------------


def _as_values(item: KnownItem) -> dict[str, Any]:
    values = asdict(item)
    return {"signal_type": SIGNAL_TYPE, "signal_value": values.pop("pdq"), **values}


def _write_json(items: Iterable[KnownItem], file: io.TextIOBase) -> int:
    # By hand around the items, because there may be millions of them.
    head = json.dumps({"format": FORMAT, "version": VERSION})
    file.write(f'{head[:-1]}, "items": [')
    count = 0
    for count, item in enumerate(items, 1):
        file.write(("\n" if count == 1 else ",\n") + json.dumps(_as_values(item)))
    file.write("\n]}\n")
    return count


def _read_json(text: str, _modified: str) -> Iterator[tuple[str, object]]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BankError(f"not JSON: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BankError(f'not an exchange file: it must have "format": "{FORMAT}"')
    if content.get("version") != VERSION or not isinstance(content.get("items"), list):
        raise BankError(f"no list of items, or another version than {VERSION}")
    for number, values in enumerate(content["items"], 1):
        yield f"item {number}", values


def _write_csv(items: Iterable[KnownItem], file: io.TextIOBase) -> int:
    writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    count = 0
    for count, item in enumerate(items, 1):  # noqa: B007 - the last number is the count
        writer.writerow(_as_values(item))
    return count


def _read_csv(text: str, _modified: str) -> Iterator[tuple[str, object]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for values in reader:
            yield f"line {reader.line_num}", {k: v or None for k, v in values.items()}
    except csv.Error as error:
        raise BankError(f"line {reader.line_num}: {error}") from error


def _write_hashes(items: Iterable[KnownItem], file: io.TextIOBase) -> int:
    # A hash alone is read as a product: a cleared image must not come back as one.
    hashes = {item.pdq: None for item in items if item.finding is Finding.PRODUCT}
    file.writelines(f"{hash_}\n" for hash_ in hashes)
    return len(hashes)


def _read_hashes(text: str, modified: str) -> Iterator[tuple[str, object]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield (
                f"line {number}",
                {
                    "signal_type": SIGNAL_TYPE,
                    "signal_value": line.strip(),
                    "finding": Finding.PRODUCT,
                    "time": modified,  # not now: reading it twice must add nothing
                },
            )


_Writer = Callable[[Iterable[KnownItem], io.TextIOBase], int]
_Reader = Callable[[str, str], Iterator[tuple[str, object]]]
_FORMS: Mapping[str, tuple[_Writer, _Reader]] = {
    ".json": (_write_json, _read_json),
    ".csv": (_write_csv, _read_csv),
    ".txt": (_write_hashes, _read_hashes),
}


def is_exchange(path: Path) -> bool:
    """Return whether a file is called as exchange files are."""
    return path.suffix.lower() in _FORMS


def _form(path: Path) -> tuple[_Writer, _Reader]:
    if not is_exchange(path):
        raise BankError(f"{path}: the name must end in {', '.join(_FORMS)}")
    return _FORMS[path.suffix.lower()]
