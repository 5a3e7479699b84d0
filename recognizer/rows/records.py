"""Rows as records of the table ``image``."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from recognizer.listing import listing_of, values_of
from recognizer.model.bundle import Bundle
from recognizer.policy.values import CandidateKind
from recognizer.rows.identity import as_name, hash_of, item_key, location_of, name_with_title
from recognizer.rows.row import Row
from recognizer.status import Status
from recognizer.taxonomy import Kind

# What a policy, a listing or known items change.
_DECIDED = ("leads", "why", "regions", "keywords", "item", "known")
_SCORED = ("scores", "family")
_JSON = (*_DECIDED, *_SCORED)
_SEEN = ("last_seen", "unread")  # in a table of their own: every scan writes them
REFERENCES = ("model", "policy")
_PLAIN = tuple(f.name for f in fields(Row) if f.name not in {*_JSON, *REFERENCES, *_SEEN, "schema"})
_TABLES = """
FROM image LEFT JOIN model ON model.id = image.model
  LEFT JOIN policy ON policy.id = image.policy LEFT JOIN seen ON seen.image = image.id
"""
SELECT_ROW = f"""
SELECT image.id, path, {", ".join((*_PLAIN, *_JSON))}, ifnull(last_seen, time), unread,
  json_object('name', model.name, 'version', model.version, 'digest', model.digest),
  json_object('name', policy.name, 'digest', policy.digest)
{_TABLES}
"""
SELECT_PREVIOUS = f"""
SELECT sha256, iif(status = 'failed', reason, NULL), model.digest, policy.digest, preprocessing,
  file_state, last_seen
{_TABLES} WHERE key = ?
"""


class Ranking:
    """By which lead and score an image is ranked: products that a bundle has evidence for first."""

    def __init__(self, bundles: Iterable[Bundle] = ()) -> None:
        self._unproven = {bundle.digest: _unproven(bundle) for bundle in bundles}

    def of(self, row: Row) -> tuple[str | None, bool | None, float | None]:
        """Return product, whether unproven, and score of the first lead, or the highest score."""
        unproven = self._unproven.get(row.model.digest, ())
        ranked = [((r.kind, r.name) in unproven, -r.score, r.name) for r in row.leads]
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
    return {(c.kind, c.name) for c in bundle.candidates if measured and not measured & {*c.members}}


def image_values(row: Row, ranking: Ranking, listing_column: str | None) -> dict[str, Any]:
    """Return the columns of ``image`` for a row, but for the models and policies."""
    time = as_utc(row.time)
    return {
        **{name: getattr(row, name) for name in _PLAIN},
        **{name: to_json(getattr(row, name)) for name in _SCORED},
        **place_values(row, listing_column),
        "first": time,
        "time": time,
        "detail": valid(row.detail),
        **changed_values(row, ranking),
    }


def place_values(row: Row, listing_column: str | None) -> dict[str, Any]:
    """Return the columns of ``image`` by which it is found: of its source and listing."""
    source, name = as_name(row.source), listing_of(row.item, listing_column)
    listing = None if name is None else as_name(name)
    own_name = name_with_title(row.source, row.item)
    return {
        "key": item_key(row.source, row.item, listing_column, row.reason),
        "unit": hash_of(f"image {own_name}" if listing is None else f"listing {listing}"),
        "source": source,
        "path": None if source == row.source else row.source.encode("utf-8", "surrogatepass"),
        "listing": listing,
        "location": location_of(source),
    }


@lru_cache
def put_image(columns: tuple[str, ...]) -> str:
    """Return the statement that writes an image over its last row, and returns its number."""
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns if name != "key")
    return (
        f"INSERT INTO image ({', '.join(columns)}) VALUES (:{', :'.join(columns)})"
        f" ON CONFLICT (key) DO UPDATE SET {changes} RETURNING id"
    )


def changed_values(row: Row, ranking: Ranking) -> dict[str, Any]:
    """Return the columns that a policy or a listing's own columns change, but for the policy."""
    listing = values_of(row.item or {})
    product, unproven, score = ranking.of(row)
    return {
        "decision": row.decision,
        "audit": row.audit,
        "score": score,
        "unproven": unproven,
        "product": product,
        **{key: valid(listing[key]) for key in ("title", "seller", "price", "currency", "url")},
        "reports": listing["reports"],
        "listed": listing["time"] and as_utc(listing["time"]),
        **{name: to_json(getattr(row, name)) for name in _DECIDED},
    }


def read_row(path: bytes | None, *record: Any) -> Row:
    """Return the row behind a record of :data:`SELECT_ROW`, without its number."""
    values = dict(zip((*_PLAIN, *_JSON, *_SEEN, *REFERENCES), record, strict=True))
    for key in (*_JSON, *REFERENCES):
        values[key] = from_json(values[key])
    if path is not None:
        values["source"] = str(path, "utf-8", "surrogatepass")  # a TypeError if it is damaged
    return msgspec.convert(values, Row)


def to_json(value: Any) -> str | None:
    """Return a value of a row as JSON in ASCII or valid UTF-8, or None for None."""
    if value is None:
        return None
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # lone surrogates can only be escaped
        return json.dumps(msgspec.to_builtins(value), separators=(",", ":"))


def from_json(text: str | None) -> Any:
    """Return the value that :func:`to_json` wrote as this text."""
    try:
        return text and msgspec.json.decode(text)
    except msgspec.DecodeError:  # of lone surrogates, for example
        return json.loads(text or "")


def result_key(*parts: object) -> bytes:
    """Return what a row is a result of, in 16 bytes.

    The parts are the digest of the image, the reason of a failure, the digests of model and policy,
    and the preprocessing.
    """
    text = "\n".join("" if part is None else str(part) for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def result_of(row: Row) -> bytes:
    reason = row.reason if row.status is Status.FAILED else None
    return result_key(row.sha256, reason, row.model.digest, row.policy.digest, row.preprocessing)


def as_utc(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()


def valid(text: str | None) -> str | None:
    """Return text that UTF-8 can hold."""
    return text and text.encode("utf-8", "backslashreplace").decode()
