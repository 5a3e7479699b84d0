"""Listings: the roles of their columns by usual names, and the values in them.

A name of a column may have any case, with blanks, hyphens, underscores or capitals between the
words.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from typing import Any
from urllib.parse import urlsplit


class Role(StrEnum):
    """Meaning of a column."""

    ID = "id"
    TITLE = "title"
    DESCRIPTION = "description"
    PRICE = "price"
    CURRENCY = "currency"
    SELLER = "seller"
    TIME = "time"
    URL = "url"
    REPORTS = "reports"


_NAMES = tomllib.loads((resources.files("recognizer") / "columns.toml").read_text("utf-8"))
_UNSURE = _NAMES.pop("image")
NAMES: Mapping[Role, tuple[str, ...]] = {Role(role): tuple(_NAMES[role]) for role in _NAMES}
"""The names by which a column is found, the surest first."""

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\s\-_.]+")
_DATES = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}  # of so many digits
_MIN_SECONDS = 10**8  # of the epoch, in 1973: smaller numbers are years, or days of a spreadsheet
_MAX_URL = 2000


def normal_name(name: str) -> str:
    """Return the name of a column in lower case, with one underscore between words.

    >>> normal_name(" ImageURL 1")
    'image_url_1'
    """
    return _WORDS.sub("_", name.strip()).casefold()


@lru_cache(maxsize=256)  # the rows of a table have the same columns
def find_columns(names: tuple[str, ...]) -> Mapping[Role, tuple[str, ...]]:
    """Return the columns of each role, if any, as they are called, the surest first."""
    by_name = {normal_name(name): name for name in reversed(names)}
    columns_of = {
        role: tuple(by_name[name] for name in usual if name in by_name)
        for role, usual in NAMES.items()
    }
    return {role: columns for role, columns in columns_of.items() if columns}


def value_of(columns: Mapping[str, Any], role: Role) -> Any:
    """Return the value of the surest column of a role that is not empty, or None."""
    names = find_columns(tuple(columns)).get(role, ())
    return next((columns[name] for name in names if columns[name] not in (None, "")), None)


def texts_of(columns: Mapping[str, Any], wanted: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the texts in some columns, each with the name of its column.

    A name that is a role means all columns of the role. Others are compared without case.
    """
    for name in wanted:
        for column in _named(tuple(columns), name):
            if text := as_text(columns[column]):
                yield column, text


@lru_cache(maxsize=1024)
def _named(names: tuple[str, ...], wanted: str) -> tuple[str, ...]:
    if wanted in [*Role]:
        return find_columns(names).get(Role(wanted), ())
    return tuple(name for name in names if normal_name(name) == normal_name(wanted))


def listing_of(columns: Mapping[str, Any] | None, column: str | None = None) -> str | None:
    """Return the identity of a listing, or None: then each image is a listing of its own.

    It is the value of an ID column (``column``, if given), else the URL.
    """
    if not columns:
        return None
    if column is not None:
        return _as_id(columns.get(column))
    for role in (Role.ID, Role.URL):
        for name in find_columns(tuple(columns)).get(role, ()):
            if (identity := _as_id(columns[name])) is not None:
                return identity
    return None


def _as_id(value: Any) -> str | None:
    # Of CSV it is text and of JSON perhaps a number, and yet the same.
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return (as_text(value) or "").strip() or None


def as_text(value: Any) -> str | None:
    """Return a value as text, as JSON if it is not text; None for an empty value."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def as_count(value: Any) -> int | None:
    try:
        count = int(float(value))
    except (TypeError, ValueError, OverflowError):
        return None
    return count if 0 <= count < 1 << 31 else None


def as_url(value: Any) -> str | None:
    """Return an ``http`` or ``https`` URL that a page may link to; None for anything else."""
    if not isinstance(value, str) or len(value) > _MAX_URL:
        return None
    text = value.strip()
    if any(character.isspace() or not character.isprintable() for character in text):
        return None
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        return None
    return text if parts.scheme in {"http", "https"} and host else None


def as_time(value: Any) -> datetime | None:
    """Return a time in UTC.

    It is ISO 8601, a date in digits alone, or seconds or milliseconds of the epoch.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        text = str(int(value) if isinstance(value, float) else value).strip()
        if not text.isdigit():
            time = datetime.fromisoformat(text)
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
        if len(text) in _DATES and text.startswith(("19", "20")):
            with suppress(ValueError):
                return datetime.strptime(text, _DATES[len(text)]).replace(tzinfo=UTC)
        seconds = int(text) / (1000 if len(text) > 11 else 1)
        return datetime.fromtimestamp(seconds, UTC) if seconds >= _MIN_SECONDS else None
    except (ValueError, OverflowError, OSError):
        return None


_READERS = {
    **dict.fromkeys(set(Role) - {Role.ID}, as_text),
    Role.TIME: as_time,
    Role.URL: as_url,
    Role.REPORTS: as_count,
}


def values_of(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a listing by the names of roles, all but its ID; None if there is none.

    The time is a datetime, the reports are a number, all else is text.
    """
    return {role.value: read(value_of(columns, role)) for role, read in _READERS.items()}


_WHICH = (
    "main|primary|cover|first|second|third|other|additional|extra|more|alternate|secondary|front|"
    "back|side|detail|gallery|product|listing|item|ad|variant|swatch|hero|featured|full|large|"
    r"original|\d"
)
_IMAGE_NAME = re.compile(  # of a column, as normal_name has it, without the underscores
    rf"(?:{_WHICH})*(?:image|photo|picture|pic|img|foto|bild|imagen|imagem)(?:s|er|es)?"
    rf"(?:{_WHICH}|(?:path|url|uri|file|filename|link|src|list)s?)*"
    r"|(?:media|gallery|hero|cover)(?:url|uri|link|src)s?|(?:图片|图片链接|主图|副图)\d{0,3}"
)


@lru_cache(maxsize=256)
def image_columns(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return all columns that are named like images, in their order.

    Without any, it is a column whose name may mean images, the surest.

    >>> image_columns(("additional_image_link", "image_link", "image_width", "link"))
    ('additional_image_link', 'image_link')
    """
    by_name = {normal_name(name): name for name in reversed(names)}
    unsure = [by_name[name] for name in _UNSURE if name in by_name][:1]
    plain = {name: normal_name(name).replace("_", "") for name in names}
    return tuple(name for name in names if _IMAGE_NAME.fullmatch(plain[name])) or tuple(unsure)
