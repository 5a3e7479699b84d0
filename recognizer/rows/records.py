"""Rows as records of the table ``image``."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, get_type_hints

import msgspec

from recognizer.listing_columns import (
    Role,
    as_count,
    as_text,
    as_time,
    as_url,
    listing_of,
    price_of,
    value_of,
)
from recognizer.model.bundle import Bundle
from recognizer.model.description import ModelReference
from recognizer.policy import CandidateKind, Decision
from recognizer.rows.item_key import hash_of, item_key, plain_name
from recognizer.rows.row import Reference, Row
from recognizer.status import Reason, Status
from recognizer.taxonomy import Kind

MAX_NAME = 8000  # characters of a source, or of the identity of a listing

_PLAIN = (
    *("status", "reason", "sha256", "phash", "format", "width", "height", "frames", "decision"),
    *("image_decision", "audit", "preprocessing", "detail"),
)
_JSON = ("scores", "family", "leads", "why", "regions", "known", "keywords", "item")
IMAGE_COLUMNS = (
    *("key", "unit", "source", "path", "score", "unproven", "product", "listing", "title"),
    *("seller", "price", "currency", "url", "reports", "listed", "location", "model", "policy"),
    *("bank", "first", "time", "file_state", *_PLAIN, *_JSON),
)
PUT_IMAGE = (
    f"INSERT INTO image ({', '.join(IMAGE_COLUMNS)}) VALUES (:{', :'.join(IMAGE_COLUMNS)})"
    " ON CONFLICT (key) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in IMAGE_COLUMNS if name != "key")
    + " RETURNING id"
)
"""Writes an image in the place of its last row, and returns its number."""
SELECT_ROW = f"""
SELECT image.id, source, path, model.name, model.version, model.digest, policy.name, policy.digest,
  bank.name, bank.digest, time, {", ".join((*_PLAIN, *_JSON))}
FROM image JOIN model ON model.id = image.model JOIN policy ON policy.id = image.policy
  LEFT JOIN bank ON bank.id = image.bank
"""
SELECT_KNOWN = """
SELECT sha256, iif(status = 'failed', reason, NULL), model.digest, policy.digest, preprocessing,
  bank.digest, file_state,
  status != 'failed' AND NOT EXISTS (SELECT 1 FROM embedding WHERE image = image.id)
FROM image JOIN model ON model.id = image.model JOIN policy ON policy.id = image.policy
  LEFT JOIN bank ON bank.id = image.bank
WHERE key = ?
"""
_CHANGED_JSON = ("leads", "why", "regions", "keywords", "item")
_CHANGED_COLUMNS = (
    *("decision", "image_decision", "audit", "score", "unproven", "product", "policy", "title"),
    *("seller", "price", "currency", "url", "reports", "listed", *_CHANGED_JSON),
)
CHANGE_IMAGE = (
    "UPDATE image SET "
    + ", ".join(f"{name} = :{name}" for name in _CHANGED_COLUMNS)
    + " WHERE id = :id"
)
"""Changes what a policy or a listing's own columns say of an image, by its number."""

CLEAR_PLACE = 3  # of a clear image in the queue

_KINDS: dict[str, type[StrEnum]] = {
    "status": Status,
    "reason": Reason,
    "decision": Decision,
    "image_decision": Decision,
}
_TYPES = {key: get_type_hints(Row)[key] for key in _JSON if key != "item"}
_DECODERS = {key: msgspec.json.Decoder(kind) for key, kind in _TYPES.items()}


class Ranking:
    """By which lead and score an image is ranked: products that were measured come before others.

    The products of a model that is not among the bundles rank alike, and so do those of a bundle
    that records no evidence for any product.
    """

    def __init__(self, bundles: Iterable[Bundle] = ()) -> None:
        self._unproven = {bundle.digest: _unproven(bundle) for bundle in bundles}

    def of(self, row: Row) -> tuple[str | None, bool | None, float | None]:
        """Return the product of the lead by which an image is ranked, if unproven, and its score.

        Without a lead it is the highest score of a family.
        """
        unproven = self._unproven.get(row.model.digest, ())
        ranked = [((one.kind, one.name) in unproven, -one.score, one.name) for one in row.leads]
        if not ranked:
            return None, None, max((row.family or {}).values(), default=None)
        is_unproven, score, product = min(ranked)
        return product, is_unproven, -score


def _unproven(bundle: Bundle) -> set[tuple[CandidateKind, str]]:
    measured = {
        label.name
        for label in bundle.labels
        if label.kind is Kind.PRODUCT and label.evidence and label.evidence.test.photos
    }
    return {
        (one.kind, one.name)
        for one in bundle.candidates
        if measured and not measured & {*one.members}
    }


def image_values(row: Row, ranking: Ranking, listing_column: str | None) -> dict[str, Any]:
    """Return the columns of ``image`` for a row, but for the models, policies and banks."""
    source, name = as_name(row.source), listing_of(row.item, listing_column)
    listing = None if name is None else as_name(name)
    time = as_utc(row.time)
    return {
        "key": item_key(row.source, row.item, listing_column, row.reason),
        "unit": hash_of(
            f"image {plain_name(row.source)}" if listing is None else f"listing {listing}"
        ),
        "source": source,
        "path": None if source == row.source else row.source.encode("utf-8", "surrogatepass"),
        "listing": listing,
        "location": location_of(source),
        "first": time,
        "time": time,
        **{name: getattr(row, name) for name in _PLAIN},
        "detail": valid(row.detail),
        **{name: to_json(getattr(row, name)) for name in ("scores", "family", "known")},
        **changed_values(row, ranking),
    }


def changed_values(row: Row, ranking: Ranking) -> dict[str, Any]:
    """Return the columns that :data:`CHANGE_IMAGE` changes, but for the policy."""
    item = row.item or {}
    product, unproven, score = ranking.of(row)
    price, currency = price_of(item)
    return {
        "decision": row.decision,
        "image_decision": row.image_decision,
        "audit": row.audit,
        "score": score,
        "unproven": unproven,
        "product": product,
        "title": valid(as_text(value_of(item, Role.TITLE))),
        "seller": valid(as_text(value_of(item, Role.SELLER))),
        "price": valid(price),
        "currency": valid(currency),
        "url": as_url(value_of(item, Role.URL)),
        "reports": as_count(value_of(item, Role.REPORTS)),
        "listed": _listed(as_time(value_of(item, Role.TIME))),
        **{name: to_json(getattr(row, name)) for name in _CHANGED_JSON},
    }


def read_row(record: Sequence[Any]) -> Row:
    """Return the row behind a record of :data:`SELECT_ROW`, without its number."""
    source, path, name, version, digest, policy, policy_digest, bank, bank_digest, time, *rest = (
        record
    )
    values = dict(zip((*_PLAIN, *_JSON), rest, strict=True))
    for key, decoder in _DECODERS.items():
        if (text := values[key]) is not None:
            try:
                values[key] = decoder.decode(text)
            except msgspec.DecodeError:  # of lone surrogates, for one
                values[key] = msgspec.convert(json.loads(text), _TYPES[key])
    for key, kind in _KINDS.items():
        if values[key] is not None:
            values[key] = kind(values[key])
    if values["item"] is not None:
        values["item"] = json.loads(values["item"])  # may hold lone surrogates
    return Row(
        source=source if path is None else path.decode("utf-8", "surrogatepass"),
        model=ModelReference(name=name, version=version, digest=digest),
        policy=Reference(name=policy, digest=policy_digest),
        bank=None if bank is None else Reference(name=bank, digest=bank_digest),
        time=datetime.fromisoformat(time),
        **values,
    )


def to_json(value: Any) -> str | None:
    """Return a value of a row as JSON in ASCII or valid UTF-8, or None for None."""
    if value is None:
        return None
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # lone surrogates can only be escaped
        return json.dumps(msgspec.to_builtins(value), separators=(",", ":"))


def result_key(
    sha256: str | None,
    reason: str | None,
    model: str,
    policy: str,
    preprocessing: int,
    bank: str | None = None,
) -> bytes:
    """Return what a row is a result of, in 16 bytes: digests, and the reason of a failure."""
    parts = [sha256 or "", reason or "", model, policy, str(preprocessing), bank or ""]
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).digest()


def result_of(row: Row) -> bytes:
    return result_key(
        row.sha256,
        row.reason if row.status is Status.FAILED else None,
        row.model.digest,
        row.policy.digest,
        row.preprocessing,
        None if row.bank is None else row.bank.digest,
    )


def as_name(text: str) -> str:
    """Return printable text: the rest is escaped, beyond :data:`MAX_NAME` it ends in a digest."""
    if text.isprintable() and len(text) <= MAX_NAME:
        return text
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(shown) > MAX_NAME:
        shown = f"{shown[: MAX_NAME - 100]}#{hashlib.sha256(shown.encode()).hexdigest()}"
    return shown


def as_utc(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()


def location_of(source: str) -> str:
    """Return where an image lies: the host of a URL, else the folder."""
    scheme, mark, rest = source.partition("://")
    if mark:
        return f"{scheme}://{re.split('[/?#]', rest, maxsplit=1)[0]}"
    return os.path.dirname(source) or "."


def _listed(time: datetime | None) -> str | None:
    with suppress(OverflowError):  # of the years 1 and 9999
        return None if time is None else as_utc(time)
    return None


def valid(text: str | None) -> str | None:
    """Return text that UTF-8 can hold."""
    return text and text.encode("utf-8", "backslashreplace").decode()
