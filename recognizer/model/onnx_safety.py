"""Whether an ONNX file keeps all its weights to itself.

ONNX can point at further files for its weights. A bundle's digest covers ``model.onnx`` alone, so
a model that reads anything else is refused. This reads just enough of the protobuf wire format:
the onnx package would be a large dependency for serving.

Sources: https://protobuf.dev/programming-guides/encoding/; onnx.proto3 (ModelProto.graph = 7;
GraphProto.node = 1, initializer = 5, sparse_initializer = 15; NodeProto.attribute = 5;
AttributeProto.t = 5, g = 6, tensors = 10, graphs = 11, sparse_tensor = 22, sparse_tensors = 23;
SparseTensorProto.values = 1, indices = 2; TensorProto.external_data = 13, data_location = 14;
ModelProto.functions = 25, FunctionProto.node = 7, attribute_proto = 11; ModelProto.training_info =
20, TrainingInfoProto.initialization = 1, algorithm = 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# message -> field number -> the message that the field holds
_CHILDREN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse",
        23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_MAX_DEPTH = 64
_MAX_KEY = (1 << 32) - 1

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


def has_external_data(model: bytes) -> bool:
    """Return whether a tensor lies outside the file; a ValueError for what is not protobuf."""
    return _search(memoryview(model), "model", 0)


def _search(message: memoryview, kind: str, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        raise ValueError("the model is nested too deeply")
    for number, value in _read_fields(message):
        if kind == "tensor":
            if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
                return True
            continue
        child = _CHILDREN[kind].get(number)
        if child is not None and isinstance(value, memoryview) and _search(value, child, depth + 1):
            return True
    return False


def _read_fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number and the value of each field of a message."""
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        if key > _MAX_KEY:  # protobuf would cut it down, and read another field than we do
            raise ValueError(f"a field number at byte {position} is out of range")
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, position = _read_varint(message, position)
            yield number, value
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
        yield number, message[position:end]
        position = end


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
