"""Outcomes of leads, as people judged them, in a table that only grows; the latest counts."""

import codecs
import csv
import hashlib
import io
import json
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, AnyStr, BinaryIO, Self

import msgspec

from recognizer._files import Closes, CsvRows, text_of_cell
from recognizer.errors import UsageError, unknown_name
from recognizer.prediction import Digest
from recognizer.rows.identity import MAX_NAME
from recognizer.rows.listings import DECIDED as DECIDED_IMAGES
from recognizer.rows.merging import CLOCK_TOLERANCE
from recognizer.rows.scanfile import ScanFile
from recognizer.scan.table_rows import json_value

MAX_CHARACTERS = {"note": 4000, "reviewer": 200, "listing": MAX_NAME, "label": 64, "origin": 200}
DESK = "recognizer review"  # the origin of outcomes of a desk
MAX_LINE = 1 << 20  # bytes of one line of a file of outcomes

_CACHE_KIBIBYTES = 16 << 10  # a million outcomes are imported within 100 MB
HAS_LEAD = (
    "EXISTS (SELECT 1 FROM json_each(leads) WHERE json_extract(value, '$.name') = :label"
    " UNION ALL SELECT 1 FROM json_each(regions) WHERE json_extract(value, '$.label') = :label)"
)
"""Whether an image has a lead of a label, or of a family of which the label is the likeliest."""
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Judgement(StrEnum):
    CONFIRMED = "confirmed"  # shows a product that the platform or the law does not allow
    REJECTED = "rejected"
    UNSURE = "unsure"  # the image does not say; somebody else may know
    ESCALATED = "escalated"  # handed to an expert, or to an authority


DECIDED = (Judgement.CONFIRMED, Judgement.REJECTED)


class Occasion(StrEnum):
    REVIEW = "review"
    AUDIT = "audit"  # of a clear image that was drawn at random
    SECOND = "second"  # a second review, by somebody who did not see the first verdict
    APPEAL = "appeal"  # of a seller: confirmed upholds the decision, rejected overturns it
    WITHDRAWAL = "withdrawal"  # of an earlier outcome, whose judgement is repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A verdict of somebody on one image, or on a listing without images.

    ``origin`` is the program or organisation that it comes from, if known, ``withdraws`` the ``id``
    of an outcome that this one takes back. A value that makes no sense is a :class:`UsageError`.
    """

    time: datetime
    reviewer: str
    judgement: Judgement
    occasion: Occasion = Occasion.REVIEW
    sha256: Digest | None = None
    listing: str | None = None
    label: str | None = None
    note: str | None = None
    origin: str | None = None
    withdraws: str | None = None

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise UsageError(f"time = {self.time}: give the time zone too")
        if self.time.tzinfo is not UTC:
            try:
                object.__setattr__(self, "time", self.time.astimezone(UTC))
            except OverflowError as error:  # of the years 1 and 9999
                raise UsageError(f"time = {self.time}: out of range") from error
        if self.sha256 is None and self.listing is None:
            raise UsageError("an outcome names an image (sha256), a listing, or both")
        if (self.withdraws is not None) != (self.occasion is Occasion.WITHDRAWAL):
            raise UsageError("withdraws: the id of an outcome, for a withdrawal and nothing else")
        for name, most in MAX_CHARACTERS.items():
            text = getattr(self, name)
            if text is not None and not 0 < len(text) <= most:
                raise UsageError(f"{name} = {text[:80]!r}: 1 to {most} characters, not {len(text)}")
            if text is not None and (wrong := _control_characters(text)):
                raise UsageError(f"{name} = {text[:80]!r}: {wrong} is not text")

    @property
    def id(self) -> str:
        """32 hexadecimal digits over all of it: the same outcome is one, wherever it comes from."""
        return _id_of(self.to_json())

    def to_json(self) -> dict[str, Any]:
        values: dict[str, Any] = msgspec.to_builtins(self)
        values["time"] = values["time"].replace("Z", "+00:00")  # twice as fast as isoformat()
        return values

    def to_json_line(self) -> bytes:
        """Return the outcome as one line of ASCII, with its newline."""
        return _encode(self.to_json()).encode() + b"\n"

    @classmethod
    def from_json(cls, values: object) -> Self:
        """Make an outcome of plain values; keys with nothing in them may be missing."""
        if isinstance(values, dict):
            values = {key: value for key, value in values.items() if value not in (None, "")}
            if isinstance(note := values.get("note"), str):  # as spreadsheets write it
                values["note"] = plain_note(note)
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise UsageError(f"not an outcome: {error}") from error


def plain_note(text: str) -> str:
    """Return a note with plain newlines and blanks, however a browser or a table writes them."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")


def _id_of(values: dict[str, Any]) -> str:
    """Return a digest of the fields that are set, so that a new field changes no id."""
    form = {key: values[key] for key in sorted(values) if values[key] is not None}
    return hashlib.blake2b(_encode(form).encode(), digest_size=16).hexdigest()


def _control_characters(text: str) -> str:
    """Return the control characters of a text but newlines, and halves of surrogate pairs."""
    if text.isprintable():
        return ""
    wrong = {c for c in text if c != "\n" and unicodedata.category(c) in {"Cc", "Cs"}}
    return ", ".join(f"U+{ord(c):04X}" for c in sorted(wrong))


_FIELDS = tuple(field.name for field in fields(Outcome))
_COLUMNS = ", ".join(_FIELDS)
_VALUES = ", ".join("ifnull(?, '')" if name == "origin" else "?" for name in ("id", *_FIELDS))
_INSERT = f"INSERT OR IGNORE INTO outcome (id, {_COLUMNS}) VALUES ({_VALUES})"


class Outcomes(Closes):
    """The outcomes in a scan's or a team's file, to which several programs may add at once."""

    def __init__(self, path: Path, *, write: bool = False, create: bool = False) -> None:
        self.file = ScanFile(path, write=write, create=create)
        self.file.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")

    def close(self) -> None:
        self.file.close()

    def __len__(self) -> int:
        return int(self.file.select("SELECT count(*) FROM outcome")[0][0])

    def __iter__(self) -> Iterator[Outcome]:
        """Yield all outcomes, in the order in which they were added."""
        return self._select("outcome", "1")

    def add(self, outcomes: Iterable[Outcome]) -> int:
        """Add outcomes, on the disk and all or none of them; return how many of them are new."""
        with self.file.transaction() as database:
            before = database.total_changes
            values = (outcome.to_json() for outcome in outcomes)
            database.executemany(_INSERT, ((_id_of(record), *record.values()) for record in values))
            return database.total_changes - before

    def about(self, sha256: str | None, listing: str) -> Iterator[Outcome]:
        """Yield the outcomes about an image, or about its listing as a whole, in order."""
        condition = "sha256 = ? OR (sha256 IS NULL AND listing = ?)"
        return self._select("outcome", condition, (sha256, listing))

    def parts_of(self, id_: str, listing: str) -> list[Outcome]:
        """Return the outcomes on images as which an outcome on their listing is stored.

        One of them at least has the label of that outcome.
        """
        of_listing = [*self._select("outcome", "listing = ?", (listing,))]
        labels = {said.label for said in of_listing}
        wholes = [
            {replace(said, sha256=None, label=name).id for name in labels} for said in of_listing
        ]
        return [said for said, ids in zip(of_listing, wholes, strict=True) if id_ in ids]

    def withdrawals_of(self, id_: str) -> Iterator[Outcome]:
        """Yield the withdrawals of an outcome on a listing, which name no image either."""
        return self._select("outcome", "withdraws = ? AND sha256 IS NULL", (id_,))

    def last_of(self, reviewer: str, since: str) -> Iterator[Outcome]:
        """Yield a reviewer's last verdict at a desk after a time, if it was not withdrawn."""
        of_desk = f"reviewer = ?1 AND origin = '{DESK}'"
        last = (
            f"SELECT time FROM standing WHERE {of_desk} AND time > ?2"
            " ORDER BY +number DESC LIMIT 1"  # by time, of which there is an index
        )
        return self._select("standing", f"{of_desk} AND time = ({last})", (reviewer, since))

    def decided(self) -> dict[str, Outcome]:
        """Return the latest outcome of each image that was decided, unless withdrawn."""
        return {outcome.sha256 or "": outcome for outcome in self._select(DECIDED_IMAGES, "1")}

    def _select(self, table: str, where: str, values: Sequence[object] = ()) -> Iterator[Outcome]:
        statement = f"SELECT {_COLUMNS} FROM {table} WHERE {where} ORDER BY number"
        for record in self.file.stream(statement, values):
            yield Outcome.from_json(dict(zip(_FIELDS, record, strict=True)))


@contextmanager
def open_reviewed(scan: Path, outcomes: Path | None) -> Iterator[tuple[ScanFile, Outcomes]]:
    """Open a scan, and its outcomes: those in a team's file, or in the scan's."""
    with ScanFile(scan) as file, Outcomes(outcomes or scan) as stored:
        if outcomes is not None:
            file.use_outcomes_of(outcomes)
        yield file, stored


def read_outcomes(path: Path, labels: Collection[str] | None = None) -> Iterator[Outcome]:
    """Yield outcomes from a file: JSON Lines, or CSV (by suffix) with the same keys.

    One that is dated in the future is a :class:`UsageError`, since it would stand for ever, and so
    is one with a label that is none of ``labels``, if they are given.
    """
    limit, position = datetime.now(UTC) + CLOCK_TOLERANCE, f"{path}"
    try:
        if not path.is_file():
            raise UsageError("not a regular file" if path.exists() else "does not exist")
        with path.open("rb") as file:
            for number, values in _records(path, file):
                position = f"{path}: entry {number}"
                outcome = Outcome.from_json(values)
                if outcome.time > limit:
                    raise UsageError(f"its time {outcome.time} is ahead of now")
                if labels is not None and outcome.label and outcome.label not in labels:
                    raise UsageError(unknown_name("label", outcome.label, sorted(labels)))
                yield outcome
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except UsageError as error:
        raise UsageError(f"{position}: {error}") from error
    except (ValueError, RecursionError, csv.Error) as error:
        forms = "outcomes are read from JSON Lines, or from CSV (.csv), in UTF-8"
        raise UsageError(f"{path}: {forms}: {error}") from error


def _records(path: Path, file: BinaryIO) -> Iterator[tuple[int, object]]:
    if path.suffix.lower() == ".csv":
        with io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
            lines = _bounded_lines(text)
            for number, cells in enumerate(CsvRows(lines), 1):
                if None in cells:
                    raise csv.Error(f"entry {number} has more cells than there are columns")
                yield number, {name: text_of_cell(cell) for name, cell in cells.items()}
        return
    begin = len(codecs.BOM_UTF8) if file.read(3) == codecs.BOM_UTF8 else 0
    file.seek(begin)
    for number, line in enumerate(_bounded_lines(file), 1):
        if line.strip():
            yield number, json_value(line)


def _bounded_lines(file: IO[AnyStr]) -> Iterator[AnyStr]:
    """Yield the lines of a file, none of which may be longer than any outcome."""
    while line := file.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            raise UsageError(f"a line of over {MAX_LINE:,} bytes is not an outcome")
        yield line
