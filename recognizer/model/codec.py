"""Dataclasses from JSON and back, checked against their annotations."""

from __future__ import annotations

import functools
import json
import math
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Return a value as JSON has it; fields of dataclasses that are None are left out."""
    if is_dataclass(value):
        found = ((f.name, getattr(value, f.name)) for f in _json_fields(type(value)))
        return {name: to_json(v) for name, v in found if v is not None}
    if isinstance(value, Mapping):
        return {str(key): to_json(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(v) for v in value]
    return value


def read_dataclass(kind: type[T], value: object, place: str = "", **known: object) -> T:
    """Return a dataclass from an object of JSON.

    Args:
        kind: the dataclass; a field with the metadata ``json=False`` is not looked for.
        value: the object; keys without a field are ignored.
        place: where it stands, for messages.
        known: fields that are known already.

    Raises:
        ValueError: a field is missing or malformed; the message says where.
    """
    if not isinstance(value, Mapping):
        raise _malformed(value, place)
    for item in _json_fields(kind):
        if item.name in value:
            where = f"{place}.{item.name}".removeprefix(".")
            known[item.name] = _read(_hints(kind)[item.name], value[item.name], where)
        elif item.default is MISSING and item.default_factory is MISSING:
            raise ValueError(f"{place or 'it'} lacks {item.name!r}")
    try:
        return kind(**known)
    except ValueError as error:
        raise ValueError(f"{place}: {error}" if place else str(error)) from error


def _json_fields(kind: Any) -> list[Field[Any]]:
    return [f for f in fields(kind) if f.metadata.get("json", True)]


_hints: Callable[[Any], dict[str, Any]] = functools.cache(get_type_hints)


def _read(kind: Any, value: Any, place: str) -> Any:
    """Return a value of JSON as an annotation has it.

    Raises:
        ValueError: it is of another type.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType}:
        found = _read_union(arguments, value, place)
    elif origin is tuple:
        found = _read_tuple(arguments, value, place)
    elif origin is Mapping:
        if not isinstance(value, Mapping):
            raise _malformed(value, place)
        found = {
            arguments[0](key): _read(arguments[1], v, f"{place}.{key}") for key, v in value.items()
        }
    elif isinstance(kind, type) and is_dataclass(kind):
        found = read_dataclass(kind, value, place)
    elif kind is object:
        found = value
    else:
        found = _read_scalar(kind, value, place)
    return found


def _read_union(options: tuple[Any, ...], value: Any, place: str) -> Any:
    """Return a value of one of several types: those of dataclasses differ in their ``step``."""
    if value is None and types.NoneType in options:
        return None
    options = tuple(option for option in options if option is not types.NoneType)
    if len(options) == 1:
        return _read(options[0], value, place)
    for option in options:
        if value["step"] in get_args(_hints(option)["step"]):
            return _read(option, value, place)
    raise _malformed(value["step"], f"{place}.step")


def _read_tuple(kinds: tuple[Any, ...], value: Any, place: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _malformed(value, place)
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise _malformed(value, place)
    parts = enumerate(zip(kinds, value, strict=True))
    return tuple(_read(kind, part, f"{place}[{i}]") for i, (kind, part) in parts)


def _read_scalar(kind: Any, value: Any, place: str) -> Any:
    if get_origin(kind) is Literal:
        fits = value in get_args(kind)
        kind = type(value)
    elif kind is float:  # JSON as Python reads it knows NaN, which nothing ever exceeds
        fits = type(value) in {int, float} and math.isfinite(value)
    else:
        fits = type(value) is (str if issubclass(kind, str) else kind)
    if not fits:
        raise _malformed(value, place)
    return kind(value)


def _malformed(value: object, place: str) -> ValueError:
    return ValueError(f"{place or 'it'} is malformed: {json.dumps(value)[:40]}")
