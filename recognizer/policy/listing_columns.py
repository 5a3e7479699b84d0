"""Which of a listing's own columns holds its title, price, seller and the like, by usual names.

These may have any case, with blanks, hyphens, underscores or capitals between the words.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit


class Role(StrEnum):
    """What a column says of a listing."""

    ID = "id"
    TITLE = "title"
    DESCRIPTION = "description"
    PRICE = "price"
    CURRENCY = "currency"
    SELLER = "seller"
    TIME = "time"
    URL = "url"
    REPORTS = "reports"


NAMES: Mapping[Role, tuple[str, ...]] = {
    role: tuple(names.split())
    for role, names in {
        Role.ID: "listing_id listing item_id ad_id offer_id product_id id 商品编号 商品id",
        Role.TITLE: "title listing_title item_title ad_title product_title product_name subject "
        "headline name 标题 商品标题 商品名称",
        Role.DESCRIPTION: "description listing_description item_description product_description "
        "desc body details text content 描述 商品描述 详情",
        Role.PRICE: "price asking_price current_price sale_price amount 价格 售价",
        Role.CURRENCY: "currency price_currency currency_code 币种",
        Role.SELLER: "seller seller_id seller_name vendor vendor_id merchant merchant_id shop "
        "shop_id shop_name store store_id account account_id user user_id username 卖家 店铺",
        Role.TIME: "listed_at posted_at published_at created_at listed posted published created "
        "time timestamp datetime date 发布时间",
        Role.URL: "url listing_url item_url ad_url product_url page_url web_url permalink link "
        "href 链接 商品链接",
        Role.REPORTS: "reports report_count reports_count user_reports num_reports n_reports "
        "number_of_reports flags flag_count complaints 举报 举报数",
    }.items()
}
"""The names by which a column is found, the surest first."""

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\s\-_.]+")
_EPOCH_MILLISECONDS = 10**11  # what is larger cannot be seconds: the year 5138
_MAX_URL = 2000
_SIGN = r"([^\W\d_]{0,4}[^\w\s.,'-]?)"  # letters, a sign of a currency, or both
_AMOUNT = re.compile(rf"{_SIGN}\s*(\d(?:[\d., '\u00a0\u202f\u2019]*\d)?)\s*{_SIGN}")
_CENTS = re.compile(r"(.*\d)[.,](\d{1,2})")
_CODE = re.compile("[A-Z]{3}")
_MAX_PRICE = 40  # characters
_SIGNS = "€=EUR £=GBP ₹=INR ₫=VND ฿=THB ₽=RUB ₩=KRW 元=CNY RMB=CNY US$=USD HK$=HKD ZŁ=PLN RP=IDR"
_CURRENCIES = dict(pair.split("=") for pair in _SIGNS.split())


def normal_name(name: str) -> str:
    """Return the name of a column in lower case, with one underscore between words.

    >>> normal_name(" ImageURL 1")
    'image_url_1'
    """
    return _WORDS.sub("_", name.strip()).casefold()


@lru_cache(maxsize=256)  # the rows of a table have the same columns
def find_columns(names: tuple[str, ...]) -> Mapping[Role, tuple[str, ...]]:
    """Return the columns of each role that has one, as they are called, the surest first."""
    by_name = {normal_name(name): name for name in reversed(names)}
    found = {
        role: tuple(by_name[name] for name in usual if name in by_name)
        for role, usual in NAMES.items()
    }
    return {role: columns for role, columns in found.items() if columns}


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
    """Return what tells a listing from others; None for an image that belongs to none.

    It is the value of an ID column (``column``, if given), else the URL; of a listing that has
    neither but a title, a digest of all its columns.
    """
    if not columns:
        return None
    if column is not None:
        return _as_id(columns.get(column))
    for role in (Role.ID, Role.URL):
        for name in find_columns(tuple(columns)).get(role, ()):
            if (found := _as_id(columns[name])) is not None:
                return found
    if value_of(columns, Role.TITLE) is None:
        return None
    text = json.dumps(columns, sort_keys=True).encode()
    return f"row-{hashlib.blake2b(text, digest_size=8).hexdigest()}"


def _as_id(value: Any) -> str | None:
    # Of CSV it is text and of JSON perhaps a number, and yet the same.
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = as_text(value)
    return None if text is None else text.strip()


def as_text(value: Any) -> str | None:
    """Return a value as text: what is neither text nor number as JSON; None for nothing."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def price_of(columns: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the price of a listing in digits, and its currency: ``€2.264,50`` is 2264.50 and EUR.

    A sign of several currencies stays as it is, and so does a text that is not one number. A column
    with the currency is surer than the price's own.
    """
    price = as_text(value_of(columns, Role.PRICE))
    currency = as_text(value_of(columns, Role.CURRENCY))
    found = _AMOUNT.fullmatch(price.strip()) if price and len(price) <= _MAX_PRICE else None
    if found is None or not (found[1] or found[3] or "," in found[2]):
        return price, currency
    signs = [sign for part in (found[1], found[3]) if (sign := part.strip())]
    codes = [_CURRENCIES.get(sign.upper(), sign) for sign in signs]
    if any(code.isalpha() and not _CODE.fullmatch(code) for code in codes):
        return price, currency
    cents = _CENTS.fullmatch(found[2])
    whole, rest = (cents[1], f".{cents[2]}") if cents else (found[2], "")
    own = next(filter(_CODE.fullmatch, codes), codes[0] if codes else None)
    return "".join(filter(str.isdigit, whole)) + rest, currency or own


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
    """Return a time with its zone, or UTC: ISO 8601, or seconds or milliseconds of the epoch."""
    try:
        if isinstance(value, str) and not value.strip().lstrip("-").isdigit():
            time = datetime.fromisoformat(value.strip())
            return time if time.tzinfo else time.replace(tzinfo=UTC)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        seconds = float(value)
        unit = 1000 if abs(seconds) >= _EPOCH_MILLISECONDS else 1
        return datetime.fromtimestamp(seconds / unit, UTC)
    except (ValueError, OverflowError, OSError):
        return None
