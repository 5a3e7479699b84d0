"""Typed values as JSON: how each is written, read back, and described by a schema.

The kind of a value follows from its type, and is made once for each field. What is read is also
checked, so that a row that was read is as good as one that was made; the JSON Schema says the same
to other programs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass, replace
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints


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


class Like(NamedTuple):
    """Texts that match a pattern as a whole."""

    pattern: str


class Between(NamedTuple):
    """Integers of at least a minimum, and at most a maximum if there is one."""

    minimum: int
    maximum: int | None = None


def kind_of(hint: Any) -> Kind:
    """Return the kind of the values of a type.

    Args:
        hint: a text, integer (not negative), float (a probability), time, enumeration, or a
            dataclass of such values; a tuple of them; a mapping of probabilities, or of anything;
            any of these or None; each annotated with :class:`Like`, :class:`Between` or a
            description.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        kind = kind_of(arguments[0])
        for note in arguments[1:]:
            match note:
                case Like():
                    kind = _text(note)
                case Between():
                    kind = _integer(note)
                case description:
                    kind = replace(kind, schema={**kind.schema, "description": description})
        return kind
    if origin in {Union, UnionType}:
        return nullable(kind_of(arguments[0]))
    if origin is tuple:
        length = None if arguments[1] is ... else len(arguments)
        return _sequence(kind_of(arguments[0]), length)
    if origin is Mapping:
        return _COLUMNS if arguments[1] is Any else _PROBABILITIES
    if is_dataclass(hint):
        return _struct(hint)
    return _choice(hint) if issubclass(hint, StrEnum) else _SIMPLE[hint]


def nullable(kind: Kind, null: Any = None) -> Kind:
    """Return a kind that may also be null, which is read as ``null``."""
    schema = {**kind.schema, "type": [kind.schema["type"], "null"]}
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    decode = kind.decode
    return replace(
        kind, schema=schema, decode=lambda value: null if value is None else decode(value)
    )


def _text(like: Like | None = None) -> Kind:
    matches = re.compile(like.pattern if like else ".*", re.DOTALL).fullmatch

    def decode(value: Any) -> str:
        if not isinstance(value, str) or not matches(value):
            raise ValueError(f"not {f'like {like.pattern}' if like else 'a text'}: {value!r:.80}")
        return value

    pattern = {"pattern": f"^{like.pattern}$"} if like else {}
    return Kind(schema={"type": "string", **pattern}, decode=decode)


def _choice(members: type[StrEnum]) -> Kind:
    return Kind(schema={"type": "string", "enum": [m.value for m in members]}, decode=members)


def _integer(between: Between) -> Kind:
    minimum, maximum = between

    def decode(value: Any) -> int:
        if type(value) is not int or value < minimum or (maximum is not None and value > maximum):
            raise ValueError(f"not an integer in its range: {value!r:.80}")
        return value

    bounds = {"minimum": minimum} | ({} if maximum is None else {"maximum": maximum})
    return Kind(schema={"type": "integer", **bounds}, decode=decode)


def _probability(value: Any) -> float:
    if type(value) not in {float, int} or not 0 <= value <= 1:
        raise ValueError(f"not a probability: {value!r:.80}")
    return float(value)


def _probabilities(value: Any) -> dict[str, float]:
    found = _mapping(value)
    numbers = found.values()
    # At the speed of C: a row has dozens of them.
    if not {*map(type, numbers)} <= {float, int} or (
        numbers and not 0 <= min(numbers) <= max(numbers) <= 1
    ):
        raise ValueError(f"not probabilities: {value!r:.80}")
    return found


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"not an object: {value!r:.80}")
    return value


def _time(value: Any) -> datetime:
    time = datetime.fromisoformat(value) if isinstance(value, str) else None
    if time is None or time.tzinfo is None:
        raise ValueError(f"not a time with its zone: {value!r:.80}")
    return time


_UNIT = {"type": "number", "minimum": 0, "maximum": 1}
_COLUMNS = Kind(schema={"type": "object"}, decode=_mapping, encode=dict)
_PROBABILITIES = Kind(
    schema={"type": "object", "additionalProperties": _UNIT}, decode=_probabilities
)
_SIMPLE = {
    str: _text(),
    int: _integer(Between(0)),
    float: Kind(schema=_UNIT, decode=_probability),
    datetime: Kind(
        schema={"type": "string", "format": "date-time"},
        decode=_time,
        encode=lambda time: time.isoformat(timespec="seconds"),
    ),
}


def _sequence(of: Kind, length: int | None) -> Kind:
    decode_one, encode_one = of.decode, of.encode

    def decode(values: Any) -> tuple[Any, ...]:
        if not isinstance(values, list) or length not in {None, len(values)}:
            raise ValueError(f"not a list of the right length: {values!r:.80}")
        return tuple([decode_one(value) for value in values])

    limits = {} if length is None else {"minItems": length, "maxItems": length}
    return Kind(
        schema={"type": "array", "items": of.schema, **limits},
        decode=decode,
        encode=encode_one and (lambda values: [encode_one(value) for value in values]),
    )


def _struct(cls: Any) -> Kind:
    kinds = kinds_of(cls)
    return Kind(
        schema=object_schema(kinds),
        decode=lambda value: cls(**decode_fields(kinds, _mapping(value))),
        encode=object_encoder(kinds),
    )


def kinds_of(cls: type[Any]) -> dict[str, Kind]:
    """Return the kind of each field of a dataclass, in their order."""
    return {name: kind_of(hint) for name, hint in get_type_hints(cls, include_extras=True).items()}


def decode_fields(kinds: Mapping[str, Kind], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of an object's fields.

    Raises:
        ValueError: a field is missing, or has another kind of value.
    """
    found = {}
    for name, kind in kinds.items():
        try:
            found[name] = kind.decode(values[name])
        except KeyError:
            raise ValueError(f"{name} is missing") from None
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return found


def object_encoder(kinds: Mapping[str, Kind]) -> Callable[[Any], dict[str, Any]]:
    """Return what makes the JSON of an object from the attributes of these names."""
    names, values_of = tuple(kinds), attrgetter(*kinds)
    encoders = [(name, kind.encode) for name, kind in kinds.items() if kind.encode is not None]

    def encode(value: Any) -> dict[str, Any]:
        found = dict(zip(names, values_of(value)))  # noqa: B905 - a row's time counts
        for name, encode_one in encoders:
            if one := found[name]:
                found[name] = encode_one(one)
        return found

    return encode


def object_schema(kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """Return the JSON Schema of an object that has these fields and no others."""
    return {
        "type": "object",
        "properties": {name: kind.schema for name, kind in kinds.items()},
        "required": [*kinds],
        "additionalProperties": False,
    }
