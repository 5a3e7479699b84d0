"""A known item: what somebody found out about one picture, told by its hash and not by a photo."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from recognizer.errors import BankError
from recognizer.known.hashes import is_hash
from recognizer.policy import Finding

_LABEL = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")
_MOST_CHARACTERS = {"note": 2000, "by": 200, "origin": 200}
_ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class KnownItem:
    """One finding about one picture. There may be several about the same one.

    Attributes:
        pdq: the picture's PDQ hash, 64 hexadecimal digits in lower case.
        finding: what was found out.
        label: which product, or what else it is; a label of the taxonomy, or of somebody else's.
        note: in words.
        by: who found it out: a person or a desk.
        origin: the organisation that it comes from.
        time: when, in UTC as ISO 8601 (``2026-03-01T10:00:00+00:00``).

    Raises:
        BankError: a value makes no sense.
    """

    pdq: str
    finding: Finding
    time: str
    label: str | None = None
    note: str | None = None
    by: str | None = None
    origin: str | None = None

    def __post_init__(self) -> None:
        if not is_hash(self.pdq):
            raise BankError(f"pdq = {self.pdq!r}: a PDQ hash has 64 hexadecimal digits")
        try:
            object.__setattr__(self, "finding", Finding(self.finding))
        except ValueError as error:
            known = ", ".join(Finding)
            raise BankError(f"finding = {self.finding!r}: one of {known}") from error
        object.__setattr__(self, "time", _utc(self.time))
        if self.label is not None and not (
            isinstance(self.label, str) and _LABEL.fullmatch(self.label)
        ):
            raise BankError(f"label = {self.label!r}: lower-case letters, digits and _")
        for key, most in _MOST_CHARACTERS.items():
            text = getattr(self, key)
            if text is not None and not (
                isinstance(text, str) and 0 < len(text) <= most and _is_one_line(text)
            ):
                raise BankError(f"{key} = {text!r}: one line of text, 1 to {most} characters")

    @property
    def id(self) -> str:
        """16 hexadecimal digits over all of it: equal findings are one, wherever they come from."""
        text = json.dumps([getattr(self, field.name) for field in fields(self)])
        return hashlib.blake2b(text.encode(), digest_size=_ID_BYTES).hexdigest()


def _is_one_line(text: str) -> bool:
    """Whether there are neither control characters nor halves of surrogate pairs in it."""
    return not any(
        unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in text
    )


def _utc(time: object) -> str:
    try:
        moment = datetime.fromisoformat(time) if isinstance(time, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BankError(f"time = {time!r}: a time with its zone, as 2026-03-01T10:00:00+00:00")
    try:
        return moment.astimezone(UTC).isoformat(timespec="seconds")
    except OverflowError as error:
        raise BankError(f"time = {time!r}: out of range") from error
