"""A bank: the known items of an organisation, in one SQLite file.

It holds each item once: banks can be merged in any order, any number of times, and what was removed
stays out. Neither banks nor exchange files hold images.
"""

import csv
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from recognizer._files import CsvRows, csv_cell, replacing, require_own, text_of_cell
from recognizer._sqlite import FileKind, SqliteFile
from recognizer.errors import BankError
from recognizer.known.index import HASH_BYTES
from recognizer.policy.values import Finding

_TEXT = r"[^\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"  # no control character or lone surrogate
_NAME = (_TEXT + "{1,200}", "one line of text, 1 to 200 characters")
_FORMS = {
    "pdq": ("[0-9a-f]{64}", "a PDQ hash has 64 hexadecimal digits"),
    "label": ("[a-z0-9][a-z0-9_]{0,63}", "lower-case letters, digits and _"),
    "note": (_TEXT + "{1,2000}", "one line of text, 1 to 2000 characters"),
    "by": _NAME,
    "origin": _NAME,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownItem:
    """The outcome on one image; there may be several on the same one.

    ``pdq`` is the image's hash, 64 hexadecimal digits in lower case; ``time`` is in UTC as ISO 8601
    (``2026-03-01T10:00:00+00:00``), ``by`` a person or a desk, ``origin`` an organisation. A value
    that makes no sense raises a BankError.
    """

    pdq: str
    finding: Finding
    time: str
    label: str | None = None
    note: str | None = None
    by: str | None = None
    origin: str | None = None

    def __post_init__(self) -> None:
        for key, (form, words) in _FORMS.items():
            value = getattr(self, key)
            is_missing = value is None and key != "pdq"
            if not is_missing and not (isinstance(value, str) and re.fullmatch(form, value)):
                raise BankError(f"{key} = {value!r}: {words}")
        if self.finding not in [*Finding]:
            raise BankError(f"finding = {self.finding!r}: one of {', '.join(Finding)}")
        object.__setattr__(self, "finding", Finding(self.finding))
        object.__setattr__(self, "time", _utc(self.time))

    @property
    def id(self) -> str:
        """16 hexadecimal digits over all of it: equal findings are one, wherever they come from.

        They are of form 1, which never changes: :data:`_FORM_1` in JSON, and behind them by their
        names those of later versions that are set.
        """
        form = [getattr(self, key) for key in _FORM_1]
        later = sorted({one.name for one in fields(self)} - {*_FORM_1})
        form += [{key: getattr(self, key)} for key in later if getattr(self, key) is not None]
        return hashlib.blake2b(json.dumps(form).encode(), digest_size=8).hexdigest()


def _utc(time: Any) -> str:
    with suppress(TypeError, ValueError, OverflowError):
        moment = datetime.fromisoformat(time)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC).isoformat(timespec="seconds")
    raise BankError(f"time = {time!r}: a time with its zone, as 2026-03-01T10:00:00+00:00")


_FIELDS = tuple(field.name for field in fields(KnownItem))
_FORM_1 = ("pdq", "finding", "time", "label", "note", "by", "origin")  # of 0.3

_SCHEMA = """
CREATE TABLE items (
  id TEXT PRIMARY KEY, pdq BLOB NOT NULL, finding TEXT NOT NULL, time TEXT NOT NULL,
  label TEXT, note TEXT, "by" TEXT, origin TEXT
) WITHOUT ROWID;
CREATE INDEX items_of_hash ON items (pdq);
CREATE TABLE removed (id TEXT PRIMARY KEY) WITHOUT ROWID
"""


class Bank(SqliteFile):
    """An open bank: created if ``create`` is set, otherwise only read. It raises BankErrors."""

    kind = FileKind(
        application_id=0x574C4B49,  # "WLKI"
        version=1,
        schema=lambda: _SCHEMA,
        error=BankError,
        advice="name another file, or make a bank with `recognizer bank add`",
    )

    def __len__(self) -> int:
        ((count,),) = self.select("SELECT count(*) FROM items")
        return int(count)

    def __iter__(self) -> Iterator[KnownItem]:
        """Yield the items, the oldest first."""
        yield from self._select("ORDER BY time, id")

    def add(self, items: Iterable[KnownItem]) -> int:
        """Add items, all or none of them, and return how many of them are new.

        Items that were removed are left out. The same finding at another time is another item.
        """
        with self.transaction() as database:
            before = database.total_changes
            database.executemany(
                "INSERT OR IGNORE INTO items SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8"
                " WHERE ?1 NOT IN (SELECT id FROM removed)",
                ((item.id, bytes.fromhex(item.pdq), *astuple(item)[1:]) for item in items),
            )
            return database.total_changes - before

    def remove(self, ids: Iterable[str]) -> int:
        """Remove items by their ids, all or none of them, and return how many there were."""
        gone = [*dict.fromkeys(ids)]
        with self.transaction() as database:
            for id_ in gone:
                if not database.execute("DELETE FROM items WHERE id = ?", (id_,)).rowcount:
                    raise BankError(f"no item {id_!r}: `recognizer bank list` prints their ids")
                database.execute("INSERT OR IGNORE INTO removed VALUES (?)", (id_,))
        return len(gone)

    def of_hash(self, pdq: bytes) -> list[KnownItem]:
        """Return all items with one hash, in the order of their ids."""
        return list(self._select("WHERE pdq = ? ORDER BY id", pdq))

    def hashes(self) -> NDArray[np.uint8]:
        """Return the distinct hashes, sorted, as uint8 (n, 32)."""
        distinct = self.stream("SELECT DISTINCT pdq FROM items ORDER BY pdq")
        return np.frombuffer(b"".join(pdq for (pdq,) in distinct), np.uint8).reshape(-1, HASH_BYTES)

    @property
    def digest(self) -> str:
        """A sha256 over what it holds, hexadecimal: equal banks match equally."""
        digest = hashlib.sha256()
        for (id_,) in self.stream("SELECT id FROM items ORDER BY id"):
            digest.update(bytes.fromhex(id_))
        return digest.hexdigest()

    def _select(self, clause: str, *values: bytes) -> Iterator[KnownItem]:
        for _, pdq, *rest in self.stream(f"SELECT * FROM items {clause}", values):
            yield KnownItem(**dict(zip(_FIELDS, (pdq.hex(), *rest), strict=True)))


# --- exchange files -------------------------------------------------------------------------------

_SIGNAL_TYPE = "pdq"
_REST = _FIELDS[1:]
_COLUMNS = ("signal_type", "signal_value", *_REST)
_REQUIRED = _COLUMNS[:4]
_SUFFIX = ".csv"
_MAX_LINE = 1 << 16  # characters; a longer line is not an item


def is_exchange(path: Path) -> bool:
    return path.suffix.lower() == _SUFFIX


def write_exchange(items: Iterable[KnownItem], path: Path) -> int:
    """Write items to a new exchange file, a ``.csv``, in one step, and return how many."""
    if not is_exchange(path):
        raise BankError(f"{path}: the name must end in {_SUFFIX}")
    beginning = ",".join(_COLUMNS[:3]).encode()
    require_own(path, "exchange file", lambda file: file.read(80).startswith(beginning))
    with replacing(path) as new, new.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        count = 0
        for count, item in enumerate(items, 1):  # noqa: B007 - the last number is the count
            writer.writerow(map(csv_cell, (_SIGNAL_TYPE, *astuple(item))))
    return count


def read_exchange(path: Path, *, origin: str | None = None) -> Iterator[KnownItem]:
    """Yield the items of a file, checked; ``origin``, or its name, is for those without one."""
    if not path.is_file():
        what = "is not a regular file" if path.exists() else "does not exist"
        raise BankError(f"{path} {what}; {Bank.kind.advice}")
    try:
        file = path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise BankError(f"{path} cannot be read: {error.strerror}") from error
    return _read(file, path, origin or path.name)


def _read(file: TextIO, path: Path, origin: str) -> Iterator[KnownItem]:
    rows = None
    try:
        with file:
            rows = CsvRows(iter(partial(file.readline, _MAX_LINE), ""))
            for name in _REQUIRED:
                if name not in (rows.fieldnames or ()):
                    raise BankError(f"no column {name}")
            for row in rows:
                if unknown := [name for name in row if name not in _COLUMNS]:
                    raise BankError(f"unknown column {unknown[0] or 'at its end'}")
                if row["signal_type"] != _SIGNAL_TYPE:
                    raise BankError(f"signal_type = {row['signal_type']!r}: only pdq is read")
                values: dict[str, Any] = {key: text_of_cell(row.get(key)) or None for key in _REST}
                values["origin"] = values["origin"] or origin
                yield KnownItem(pdq=row["signal_value"].lower(), **values)
    except (BankError, csv.Error) as error:
        line = f"line {max(1, rows.line_num) if rows else 1}: " * isinstance(error, BankError)
        raise BankError(f"{path}: {line}{error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BankError(f"{path} cannot be read: {error}") from error
