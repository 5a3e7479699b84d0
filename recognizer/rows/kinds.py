"""Kinds of values in a row: how each is written as JSON, read back, and described by a schema.

A kind is made once for each field. What it reads it also checks, so that a row that was read is as
good as one that was made; the JSON Schema says the same to other programs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of value.

    Attributes:
        schema: the JSON Schema of its JSON.
        decode: return the value for its JSON; raise ValueError where there is none.
        encode: return the JSON of a value that is neither null nor empty; None where the value is
            JSON already.
    """

    schema: Mapping[str, Any]
    decode: Callable[[Any], Any]
    encode: Callable[[Any], Any] | None = None


def nullable(kind: Kind, null: Any = None) -> Kind:
    """Return a kind that may also be null, which is read as ``null``."""
    schema = {**kind.schema, "type": [kind.schema["type"], "null"]}
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    decode = kind.decode
    return replace(
        kind, schema=schema, decode=lambda value: null if value is None else decode(value)
    )


def described(kind: Kind, description: str) -> Kind:
    """Return a kind whose schema has a description."""
    return replace(kind, schema={**kind.schema, "description": description})


def text(pattern: str | None = None) -> Kind:
    """Return the kind of texts, or of those that match a pattern as a whole."""
    matches = re.compile(pattern or "", re.DOTALL).fullmatch

    def decode(value: Any) -> str:
        if not isinstance(value, str) or (pattern and not matches(value)):
            raise ValueError(f"not {f'like {pattern}' if pattern else 'a text'}: {value!r:.80}")
        return value

    return Kind(
        schema={"type": "string"} | ({"pattern": f"^{pattern}$"} if pattern else {}),
        decode=decode,
    )


def choice(values: type[StrEnum], *some: StrEnum) -> Kind:
    """Return the kind of an enumeration's members, or of some of them."""
    members = [*(some or values)]

    def decode(value: Any) -> StrEnum:
        member = values(value)
        if member not in members:
            raise ValueError(f"not one of {', '.join(members)}: {value!r}")
        return member

    return Kind(schema={"type": "string", "enum": [m.value for m in members]}, decode=decode)


def integer(minimum: int, maximum: int | None = None) -> Kind:
    """Return the kind of integers in a range."""

    def decode(value: Any) -> int:
        if type(value) is not int or value < minimum or (maximum is not None and value > maximum):
            raise ValueError(f"not an integer in its range: {value!r:.80}")
        return value

    bounds = {"minimum": minimum} | ({} if maximum is None else {"maximum": maximum})
    return Kind(schema={"type": "integer", **bounds}, decode=decode)


def probability() -> Kind:
    """Return the kind of numbers from 0 to 1."""
    return Kind(schema={"type": "number", "minimum": 0, "maximum": 1}, decode=_probability)


def _probability(value: Any) -> float:
    if type(value) not in {float, int} or not 0 <= value <= 1:
        raise ValueError(f"not a probability: {value!r:.80}")
    return float(value)


def probabilities() -> Kind:
    """Return the kind of mappings from names to probabilities."""

    def decode(value: Any) -> dict[str, float]:
        found = _mapping(value)
        numbers = found.values()
        # At the speed of C: a row has dozens of them.
        if not {*map(type, numbers)} <= {float, int} or (
            numbers and not 0 <= min(numbers) <= max(numbers) <= 1
        ):
            raise ValueError(f"not probabilities: {value!r:.80}")
        return found

    return Kind(
        schema={"type": "object", "additionalProperties": probability().schema}, decode=decode
    )


def columns() -> Kind:
    """Return the kind of mappings from names to anything that is JSON."""
    return Kind(schema={"type": "object"}, decode=_mapping, encode=dict)


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"not an object: {value!r:.80}")
    return value


def moment() -> Kind:
    """Return the kind of times with a time zone, to the second."""

    def decode(value: Any) -> datetime:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        if time is None or time.tzinfo is None:
            raise ValueError(f"not a time with its zone: {value!r:.80}")
        return time

    return Kind(
        schema={"type": "string", "format": "date-time"},
        decode=decode,
        encode=lambda time: time.isoformat(timespec="seconds"),
    )


def sequence(of: Kind, length: int | None = None) -> Kind:
    """Return the kind of tuples of one kind of value."""
    decode_one, encode_one = of.decode, of.encode

    def decode(values: Any) -> tuple[Any, ...]:
        if not isinstance(values, list) or length not in {None, len(values)}:
            raise ValueError(f"not a list of the right length: {values!r:.80}")
        return tuple([decode_one(value) for value in values])

    limits = {} if length is None else {"minItems": length, "maxItems": length}
    return Kind(
        schema={"type": "array", "items": of.schema, **limits},
        decode=decode,
        encode=None
        if encode_one is None
        else lambda values: [encode_one(value) for value in values],
    )


def struct(cls: type[Any], **fields: Kind) -> Kind:
    """Return the kind of a dataclass, its fields in their order."""

    def decode(value: Any) -> Any:
        found = _mapping(value)
        return cls(**decode_fields(fields, found))

    return Kind(schema=object_schema(fields), decode=decode, encode=object_encoder(fields))


def decode_fields(fields: Mapping[str, Kind], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of an object's fields.

    Raises:
        ValueError: a field is missing, or has another kind of value.
    """
    found = {}
    for name, kind in fields.items():
        try:
            found[name] = kind.decode(values[name])
        except KeyError:
            raise ValueError(f"{name} is missing") from None
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return found


def object_encoder(fields: Mapping[str, Kind]) -> Callable[[Any], dict[str, Any]]:
    """Return what makes the JSON of an object from the attributes of these names."""
    names, values_of = tuple(fields), attrgetter(*fields)
    encoders = [(name, kind.encode) for name, kind in fields.items() if kind.encode is not None]

    def encode(value: Any) -> dict[str, Any]:
        found = dict(zip(names, values_of(value)))  # noqa: B905 - a row's time counts
        for name, encode_one in encoders:
            if one := found[name]:
                found[name] = encode_one(one)
        return found

    return encode


def object_schema(fields: Mapping[str, Kind]) -> dict[str, Any]:
    """Return the JSON Schema of an object that has these fields and no others."""
    return {
        "type": "object",
        "properties": {name: kind.schema for name, kind in fields.items()},
        "required": [*fields],
        "additionalProperties": False,
    }
