"""Whether an ONNX file keeps to itself.

ONNX can point at further files for its weights. A bundle's digest covers ``model.onnx`` alone, so
a model that reads anything else is refused.

Source: onnx.proto3 (ModelProto.graph = 7; GraphProto.node = 1, initializer = 5,
sparse_initializer = 15; NodeProto.attribute = 5; AttributeProto.t = 5, g = 6, tensors = 10,
graphs = 11, sparse_tensor = 22, sparse_tensors = 23; SparseTensorProto.values = 1, indices = 2;
TensorProto.external_data = 13, data_location = 14; ModelProto.functions = 25,
FunctionProto.node = 7, attribute_proto = 11; ModelProto.training_info = 20,
TrainingInfoProto.initialization = 1, algorithm = 2).
"""

from __future__ import annotations

from recognizer.model.protobuf import read_fields

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
_DEEPEST = 64


def has_external_data(model: bytes) -> bool:
    """Return whether any tensor of an ONNX model lies outside the file.

    Raises:
        ValueError: the bytes are no protobuf message.
    """
    return _search(memoryview(model), "model", 0)


def _search(message: memoryview, kind: str, depth: int) -> bool:
    if depth > _DEEPEST:
        raise ValueError("the model is nested too deeply")
    for number, value, _ in read_fields(message):
        if kind == "tensor":
            if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
                return True
            continue
        child = _CHILDREN[kind].get(number)
        if child is not None and isinstance(value, memoryview) and _search(value, child, depth + 1):
            return True
    return False
