"""Which of a listing's own columns holds its title, price, seller and the like.

Platforms name their columns as they please. What is known are usual names, in whatever case, with
blanks, hyphens, underscores or capitals between the words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
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
    Role.ID: (
        *("listing_id", "listing", "item_id", "ad_id", "offer_id", "product_id", "id"),
        *("商品编号", "商品id"),
    ),
    Role.TITLE: (
        *("title", "listing_title", "item_title", "ad_title", "product_title", "product_name"),
        *("subject", "headline", "name", "标题", "商品标题", "商品名称"),
    ),
    Role.DESCRIPTION: (
        *("description", "listing_description", "item_description", "product_description"),
        *("desc", "body", "details", "text", "content", "描述", "商品描述", "详情"),
    ),
    Role.PRICE: ("price", "asking_price", "current_price", "sale_price", "amount", "价格", "售价"),
    Role.CURRENCY: ("currency", "price_currency", "currency_code", "币种"),
    Role.SELLER: (
        *("seller", "seller_id", "seller_name", "vendor", "vendor_id", "merchant", "merchant_id"),
        *("shop", "shop_id", "shop_name", "store", "store_id", "account", "account_id"),
        *("user", "user_id", "username", "卖家", "店铺"),
    ),
    Role.TIME: (
        *("listed_at", "posted_at", "published_at", "created_at", "listed", "posted", "published"),
        *("created", "time", "timestamp", "datetime", "date", "发布时间"),
    ),
    Role.URL: (
        *("url", "listing_url", "item_url", "ad_url", "product_url", "page_url", "web_url"),
        *("permalink", "link", "href", "链接", "商品链接"),
    ),
    Role.REPORTS: (
        *("reports", "report_count", "reports_count", "user_reports", "num_reports", "n_reports"),
        *("number_of_reports", "flags", "flag_count", "complaints", "举报", "举报数"),
    ),
}
"""The names by which a column is found, the surest first."""

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\s\-_.]+")
_EPOCH_MILLISECONDS = 10**11  # what is larger cannot be seconds: the year 5138
_MAX_URL = 2000


def normal_name(name: str) -> str:
    """Return the name of a column in lower case, with one underscore between words.

    >>> normal_name(" ImageURL 1")
    'image_url_1'
    """
    return _WORDS.sub("_", name.strip()).casefold()


def find_columns(names: Iterable[str]) -> dict[Role, str]:
    """Return the column of each role that is found, as it is called."""
    by_name = {normal_name(name): name for name in reversed([*names])}
    found = (
        (role, next((n for n in usual if n in by_name), None)) for role, usual in NAMES.items()
    )
    return {role: by_name[name] for role, name in found if name is not None}


def value_of(columns: Mapping[str, Any], role: Role) -> Any:
    """Return the value in the column of a role; None where there is no such column."""
    name = find_columns(columns).get(role)
    return None if name is None else columns[name]


def texts_of(columns: Mapping[str, Any], wanted: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the texts in some columns, each with the name of its column.

    A name that is a role means the column that has the role. Others are compared without case.
    """
    by_role = find_columns(columns)
    by_name = {normal_name(name): name for name in reversed([*columns])}
    for name in wanted:
        known = by_role.get(Role(name)) if name in [*Role] else by_name.get(normal_name(name))
        text = None if known is None else as_text(columns[known])
        if known is not None and text:
            yield known, text


def as_text(value: Any) -> str | None:
    """Return a value as text: what is neither text nor number as JSON; None for nothing."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def as_count(value: Any) -> int | None:
    """Return a number of reports; None for what is none."""
    if isinstance(value, bool):
        return int(value)
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
    """Return a time with its zone: ISO 8601, or seconds or milliseconds of the epoch.

    A time without a zone is taken for UTC.
    """
    try:
        if isinstance(value, str) and not value.strip().lstrip("-").isdigit():
            time = datetime.fromisoformat(value.strip())
            return time if time.tzinfo else time.replace(tzinfo=UTC)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        seconds = float(value)
        return datetime.fromtimestamp(
            seconds / 1000 if abs(seconds) >= _EPOCH_MILLISECONDS else seconds, UTC
        )
    except (ValueError, OverflowError, OSError):
        return None
