"""The protobuf wire format, as much of it as ONNX files need: to look into one, and to add to one.

The onnx package would be a large dependency for that. Source:
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LARGEST_KEY = (1 << 32) - 1


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: of the field.
        value: a number, or the bytes of what is no varint.
        raw: the whole field as it stands in the message, with its key.
    """

    number: int
    value: int | memoryview
    raw: memoryview


def read_fields(message: memoryview) -> Iterator[Field]:
    """Yield the fields of a message, in order.

    Raises:
        ValueError: the bytes are no protobuf message.
    """
    position = 0
    while position < len(message):
        start = position
        key, position = _read_varint(message, position)
        if key > _LARGEST_KEY:  # protobuf would cut it down, and read another field than we do
            raise ValueError(f"a field number at byte {position} is out of range")
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, position = _read_varint(message, position)
            yield Field(number, value, message[start:position])
            continue
        if wire == _BYTES:
            length, position = _read_varint(message, position)
        elif wire in {_FIXED64, _FIXED32}:
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire} at byte {position}")
        end = position + length
        if end > len(message):
            raise ValueError(f"a field at byte {position} runs past the end")
        yield Field(number, message[position:end], message[start:end])
        position = end


def write_field(number: int, value: int | str | bytes) -> bytes:
    """Return one field: a number as a varint, text and bytes with their length."""
    if isinstance(value, int):
        return _write_varint(number << 3 | _VARINT) + _write_varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _write_varint(number << 3 | _BYTES) + _write_varint(len(data)) + data


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(message) or shift > 63:
            raise ValueError(f"a number at byte {position} has no end")
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7


def _write_varint(value: int) -> bytes:
    if value < 0:
        raise ValueError(f"{value}: negative numbers are not written here")
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)
