from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from recognizer.model.onnx_safety import has_external_data
from tests.tiny import tiny_model


def outside(name: str = "weight") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def inside() -> TensorProto:
    return numpy_helper.from_array(np.zeros(1, np.float32), "weight")


def model_of(*nodes: onnx.NodeProto, tensors: tuple[TensorProto, ...] = ()) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph(nodes, "g", [], [], tensors))


def constant(tensor: TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["c"], value=tensor)


def with_initializer(tensor: TensorProto) -> onnx.ModelProto:
    return model_of(tensors=(tensor,))


def with_constant(tensor: TensorProto) -> onnx.ModelProto:
    return model_of(constant(tensor))


def with_branch(tensor: TensorProto) -> onnx.ModelProto:
    branch = helper.make_graph([], "branch", [], [], [tensor])
    return model_of(helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))


def with_function(tensor: TensorProto) -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", 18)]
    model = model_of()
    model.functions.append(helper.make_function("d", "f", [], ["c"], [constant(tensor)], opsets))
    return model


def with_function_default(tensor: TensorProto) -> onnx.ModelProto:
    model = with_function(inside())
    model.functions[0].attribute_proto.append(helper.make_attribute("value", tensor))
    return model


def with_sparse(tensor: TensorProto) -> onnx.ModelProto:
    model = model_of()
    model.graph.sparse_initializer.add().values.CopyFrom(tensor)
    return model


def with_training(tensor: TensorProto) -> onnx.ModelProto:
    model = model_of()
    model.training_info.add().initialization.initializer.append(tensor)
    return model


PLACES = [
    with_initializer,
    with_constant,
    with_branch,
    with_function,
    with_function_default,
    with_sparse,
    with_training,
]


@pytest.mark.parametrize("place", PLACES)
def test_external_data_is_found_wherever_a_tensor_can_be(
    place: Callable[[TensorProto], onnx.ModelProto],
) -> None:
    assert has_external_data(place(outside()).SerializeToString())
    assert not has_external_data(place(inside()).SerializeToString())


@pytest.mark.parametrize("half", ["data_location", "external_data"])
def test_half_a_sign_is_enough(half: str) -> None:
    tensor = outside()
    tensor.ClearField(half)
    assert has_external_data(with_initializer(tensor).SerializeToString())


def test_a_model_that_keeps_to_itself() -> None:
    assert not has_external_data(tiny_model().SerializeToString())


def test_a_message_that_comes_in_two_parts_is_merged() -> None:
    """Protobuf merges a repeated field; the second part counts as well."""
    parts = with_initializer(inside()), with_initializer(outside())
    assert has_external_data(b"".join(part.SerializeToString() for part in parts))


def test_a_field_number_beyond_32_bits_is_refused() -> None:
    """Protobuf would drop the high bits, and so read a field that a naive walk passes over."""
    hidden = _number((13 << 3 | 2) | 1 << 32) + b"\0"
    tensor = bytes([5 << 3 | 2, len(hidden)]) + hidden
    with pytest.raises(ValueError, match="out of range"):
        has_external_data(bytes([7 << 3 | 2, len(tensor)]) + tensor)


@pytest.mark.parametrize(
    "data", [b"\xff", b"\x3a\x05ab", b"\x0b", b"\x80" * 12, b"<html>not a model</html>"]
)
def test_what_is_no_protobuf(data: bytes) -> None:
    with pytest.raises(ValueError, match="byte"):
        has_external_data(data)


def test_endless_nesting_is_refused() -> None:
    graph = b""
    for _ in range(40):
        attribute = b"\x32" + _sized(graph)
        graph = b"\x0a" + _sized(b"\x2a" + _sized(attribute))
    with pytest.raises(ValueError, match="deep"):
        has_external_data(b"\x3a" + _sized(graph))


def _sized(body: bytes) -> bytes:
    return _number(len(body)) + body


def _number(value: int) -> bytes:
    """Write a number as protobuf does: seven bits a byte."""
    written = bytearray()
    while value >> 7:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert has_external_data(data) in {True, False}
