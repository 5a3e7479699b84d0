"""Outcomes: what people found out about leads, in a store that only grows.

An outcome belongs to the bytes of an image (their sha256), so that it outlives journals, models and
policies; where there is no image, to a listing. Nothing is ever changed or removed: who changes
their mind adds an outcome, or one that withdraws the earlier one. Each outcome is chained to the
one before it, so that a file that was edited by hand is noticed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import msgspec

from recognizer._atomic import replacing, require_own
from recognizer._sqlite import Store
from recognizer.errors import JournalError, UsageError
from recognizer.rows.row import Digest, Row

MAX_CHARACTERS = {"note": 4000, "reviewer": 200, "listing": 1000, "label": 64, "origin": 200}
"""Of the texts of an outcome."""

_DIGEST_BYTES = 16
_BEGINNINGS = (b'{"time":', b"time,")


class Judgement(StrEnum):
    """What somebody found out about a lead."""

    CONFIRMED = "confirmed"
    """It shows a product that the platform does not allow, or that the law protects."""
    REJECTED = "rejected"
    """It shows nothing of the kind."""
    UNSURE = "unsure"
    """The image does not say; somebody else may know."""
    ESCALATED = "escalated"
    """It was handed to an expert, or to an authority."""


class Occasion(StrEnum):
    """On what occasion an outcome came about."""

    REVIEW = "review"
    """Somebody worked through the queue."""
    AUDIT = "audit"
    """Somebody looked at a clear image that was drawn at random."""
    APPEAL = "appeal"
    """A seller objected: ``confirmed`` upholds the decision, ``rejected`` overturns it."""
    WITHDRAWAL = "withdrawal"
    """The reviewer takes an earlier outcome back; its judgement is repeated here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What somebody found out about one image, or about a listing without images.

    Attributes:
        time: when, with its time zone.
        reviewer: who: a person or a desk.
        judgement: what was found out.
        occasion: how it came about.
        sha256: of the image's bytes, hexadecimal; None for a listing as a whole.
        listing: the identity of the listing; None where there is none.
        label: which product it is, or what else; None where nobody said.
        note: in words.
        origin: the program or organisation that it comes from.
        withdraws: the ``id`` of the outcome that this one takes back; None for none.

    Raises:
        UsageError: a value makes no sense.
    """

    time: datetime
    reviewer: str
    judgement: Judgement
    occasion: Occasion = Occasion.REVIEW
    sha256: Digest | None = None
    listing: str | None = None
    label: str | None = None
    note: str | None = None
    origin: str = "recognizer review"
    withdraws: str | None = None

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise UsageError(f"time = {self.time}: give the time zone too")
        object.__setattr__(self, "time", self.time.astimezone(UTC))
        if self.sha256 is None and self.listing is None:
            raise UsageError("an outcome names an image (sha256), a listing, or both")
        if (self.withdraws is not None) != (self.occasion is Occasion.WITHDRAWAL):
            raise UsageError("withdraws: the id of an outcome, for a withdrawal and nothing else")
        for name, maximum in MAX_CHARACTERS.items():
            text = getattr(self, name)
            if text is not None and not (0 < len(text) <= maximum and _is_text(text)):
                raise UsageError(f"{name} = {text!r}: 1 to {maximum} characters of text")

    @property
    def id(self) -> str:
        """32 hexadecimal digits over all of it: the same outcome is one, wherever it comes from."""
        return hashlib.blake2b(self.to_json_line(), digest_size=_DIGEST_BYTES).hexdigest()

    @property
    def subject(self) -> str:
        """What it is about: the digest of an image, else the identity of a listing."""
        return self.sha256 or f"listing:{self.listing}"

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as plain values."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values | {"time": self.time.isoformat()}

    def to_json_line(self) -> bytes:
        """Return the outcome as one line of ASCII, with its newline."""
        return json.dumps(self.to_json(), separators=(",", ":")).encode("ascii") + b"\n"

    @classmethod
    def from_json(cls, values: object) -> Self:
        """Make an outcome of plain values; keys with nothing in them may be missing.

        Raises:
            UsageError: they are not those of an outcome.
        """
        if isinstance(values, dict):
            values = {key: value for key, value in values.items() if value not in (None, "")}
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise UsageError(f"not an outcome: {error}") from error


def _is_text(text: str) -> bool:
    """Whether a text has neither halves of surrogate pairs nor control characters but newlines."""
    return not {*map(unicodedata.category, text.replace("\n", ""))} & {"Cc", "Cs"}


def listing_identity(name: str) -> str:
    """Return the identity of a listing as an outcome can hold it."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    if len(shown) > MAX_CHARACTERS["listing"]:
        shown = f"{shown[:900]}#{hashlib.sha256(shown.encode()).hexdigest()}"
    return shown


def images_in_question(rows: Iterable[Row]) -> list[str]:
    """Return the digests of those images of a listing that a verdict on it is about.

    They are the ones that are leads by themselves. Where there is none, since words or reports
    alone have raised the listing, the verdict is about the listing and no image of it.
    """
    return [*dict.fromkeys(row.sha256 for row in rows if row.is_image_lead and row.sha256)]


def as_note(text: str | None) -> str | None:
    """Return a text from elsewhere as the note of an outcome; None where nothing is left of it."""
    lines = "\n".join((text or "").splitlines())
    clean = "".join(c for c in lines if c == "\n" or c.isprintable()).strip()
    return clean[: MAX_CHARACTERS["note"]] or None


_FIELDS = tuple(field.name for field in fields(Outcome))
_COLUMNS = ", ".join(_FIELDS)
_STANDING = """
    SELECT {columns} FROM (
      SELECT *, row_number() OVER (PARTITION BY subject ORDER BY time DESC, number DESC) AS place
      FROM outcomes WHERE occasion != 'withdrawal' {condition}
        AND id NOT IN (SELECT withdraws FROM outcomes WHERE withdraws IS NOT NULL)
    ) WHERE place = 1 ORDER BY number
"""


class OutcomeStore(Store):
    """The outcomes of a platform, in one file, which several programs may add to at once.

    Args:
        path: its file.
        create: make it where there is none, and open it for additions; otherwise it is only read.

    Raises:
        JournalError: there is no such file, or it is not a store of outcomes; as from the methods.
    """

    APPLICATION_ID = 0x574C4F43
    KIND = "store of outcomes"
    ADVICE = "name another file, or make one with `recognizer review` or `recognizer outcomes`"
    TABLES = """
        CREATE TABLE IF NOT EXISTS outcomes (
          number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, chain TEXT NOT NULL,
          subject TEXT NOT NULL, time TEXT NOT NULL, reviewer TEXT NOT NULL,
          judgement TEXT NOT NULL, occasion TEXT NOT NULL, sha256 TEXT, listing TEXT, label TEXT,
          note TEXT, origin TEXT NOT NULL, withdraws TEXT
        );
        CREATE INDEX IF NOT EXISTS outcomes_of_subject ON outcomes (subject);
        CREATE INDEX IF NOT EXISTS withdrawn ON outcomes (withdraws);
        CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON outcomes
          BEGIN SELECT RAISE(ABORT, 'outcomes are only added'); END;
        CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON outcomes
          BEGIN SELECT RAISE(ABORT, 'outcomes are only added'); END
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = False) -> None:
        if not create and not os.path.isfile(path):
            raise JournalError(f"{os.fspath(path)} does not exist; {self.ADVICE}")
        super().__init__(path, create=create)

    def __len__(self) -> int:
        with self._reported():
            (count,) = self._database.execute("SELECT count(*) FROM outcomes").fetchone()
        return int(count)

    def __iter__(self) -> Iterator[Outcome]:
        """Yield all outcomes, in the order in which they were added."""
        yield from self._select(f"SELECT {_COLUMNS} FROM outcomes ORDER BY number")  # noqa: S608

    def add(self, outcomes: Iterable[Outcome]) -> int:
        """Add outcomes, all or none of them, and return how many of them are new.

        They are on the disk when this returns.
        """
        columns = ("id", "chain", "subject", *_FIELDS)
        places = ", ".join("?" * len(columns))
        statement = f"INSERT INTO outcomes ({', '.join(columns)}) VALUES ({places})"  # noqa: S608
        new = 0
        with self._reported(), self._database:
            self._database.execute("BEGIN IMMEDIATE")  # nobody else may extend the chain meanwhile
            last = self._database.execute(
                "SELECT chain FROM outcomes ORDER BY number DESC LIMIT 1"
            ).fetchone()
            chain = "" if last is None else last[0]
            for outcome in outcomes:
                found = self._database.execute(
                    "SELECT 1 FROM outcomes WHERE id = ?", (outcome.id,)
                ).fetchone()
                if found is None:
                    chain = _link(chain, outcome)
                    values = (outcome.to_json()[name] for name in _FIELDS)
                    self._database.execute(statement, (outcome.id, chain, outcome.subject, *values))
                    new += 1
        return new

    def since(self, number: int) -> Iterator[tuple[int, Outcome]]:
        """Yield the outcomes that were added after the first ``number``, with their own numbers."""
        with self._reported():
            rows = self._database.execute(
                f"SELECT number, {_COLUMNS} FROM outcomes"  # noqa: S608
                " WHERE number > ? ORDER BY number",
                (number,),
            ).fetchall()
        for place, *values in rows:
            yield place, Outcome.from_json(dict(zip(_FIELDS, values, strict=True)))

    def of(self, subject: str) -> list[Outcome]:
        """Return all outcomes about an image or a listing (:attr:`Outcome.subject`), in order."""
        return [
            *self._select(
                f"SELECT {_COLUMNS} FROM outcomes"  # noqa: S608
                " WHERE subject = ? ORDER BY number",
                subject,
            )
        ]

    def standing(self, subject: str | None = None) -> Iterator[Outcome]:
        """Yield what counts of each image or listing: the last outcome that was not withdrawn.

        Args:
            subject: only of this one; None for all.
        """
        condition, values = ("", ()) if subject is None else ("AND subject = ?", (subject,))
        yield from self._select(_STANDING.format(columns=_COLUMNS, condition=condition), *values)

    def verify(self) -> str:
        """Check the chain, and return its last link (an empty text where there is no outcome).

        Raises:
            JournalError: an outcome was changed, removed or put in; the message says after which.
        """
        chain = ""
        with self._reported():
            rows = self._database.execute(
                f"SELECT number, chain, {_COLUMNS} FROM outcomes ORDER BY number"  # noqa: S608
            )
            for place, (number, recorded, *values) in enumerate(rows, 1):
                outcome = Outcome.from_json(dict(zip(_FIELDS, values, strict=True)))
                chain = _link(chain, outcome)
                if (number, recorded) != (place, chain):
                    raise JournalError(
                        f"{self.path}: outcome {place} is not the one that was added there"
                    )
        return chain

    def _select(self, statement: str, *values: str) -> Iterator[Outcome]:
        with self._reported():
            rows = self._database.execute(statement, values).fetchall()
        for row in rows:
            yield Outcome.from_json(dict(zip(_FIELDS, row, strict=True)))


def _link(chain: str, outcome: Outcome) -> str:
    return hashlib.sha256(chain.encode() + outcome.to_json_line()).hexdigest()


def read_outcomes(path: Path) -> list[Outcome]:
    """Read outcomes from a file: JSON lines, a JSON array, or CSV (by suffix) with the same keys.

    Raises:
        UsageError: it cannot be read, or a value makes no sense; the message says which.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} cannot be read: it is not text in UTF-8") from error
    try:
        return [_read_one(number, values) for number, values in _records(path, text)]
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _records(path: Path, text: str) -> Iterator[tuple[int, object]]:
    try:
        if path.suffix.lower() == ".csv":
            yield from enumerate(csv.DictReader(io.StringIO(text, newline="")), 1)
        elif text.lstrip().startswith("["):
            yield from enumerate(json.loads(text), 1)
        else:
            for number, line in enumerate(text.splitlines(), 1):
                if line.strip():
                    yield number, json.loads(line)
    except (ValueError, RecursionError, csv.Error) as error:
        raise UsageError(f"neither JSON nor CSV: {error}") from error


def _read_one(number: int, values: object) -> Outcome:
    try:
        return Outcome.from_json(values)
    except UsageError as error:
        raise UsageError(f"entry {number}: {error}") from error


def write_outcomes(outcomes: Iterable[Outcome], path: Path) -> int:
    """Write outcomes to a new file, as CSV or JSON lines by its suffix, and return how many.

    Raises:
        UsageError: it cannot be written, or is a file of another kind.
    """
    require_own(path, "file of outcomes", lambda file: file.read(8).startswith(_BEGINNINGS))
    count = 0
    with replacing(path) as partial:
        if path.suffix.lower() == ".csv":
            with partial.open("w", encoding="utf-8", newline="") as text:
                table = csv.DictWriter(text, _FIELDS)
                table.writeheader()
                for count, outcome in enumerate(outcomes, 1):  # noqa: B007 - counted
                    table.writerow(outcome.to_json())
        else:
            with partial.open("wb") as lines:
                for count, outcome in enumerate(outcomes, 1):  # noqa: B007 - counted
                    lines.write(outcome.to_json_line())
    return count
