"""Giving a served model one label more, by writing into its ONNX graph.

The new label becomes an output of the same single pass: a 1x1 convolution of its own over the
features from which the embedding is pooled, and the pooling. So an enrolled model has the inputs
and outputs of any other, and its digest covers the new head. Nothing that is there is changed, but
for the names of the two outputs that grow. Where a label is strengthened, its old row is replaced
by ``own_weight`` times itself plus the new head.

A softmax over the maps would let the new label take from the others. So the maps of a softmax
model are turned into local log-odds, log(p / (1 - p)), within the graph; read with a sigmoid they
say what the softmax said before, and the new label stands beside them on its own.

Source: onnx.proto3 (ModelProto.graph = 7, opset_import = 8; OperatorSetIdProto.domain = 1,
version = 2; GraphProto.node = 1, initializer = 5, output = 12, value_info = 13; NodeProto.input
= 1, output = 2, name = 3, op_type = 4, attribute = 5; AttributeProto.name = 1, i = 3, type = 20;
TensorProto.dims = 1, data_type = 2, name = 8, raw_data = 9; ValueInfoProto.name = 1, type = 2;
TypeProto.tensor_type = 1; TypeProto.Tensor.elem_type = 1, shape = 2; TensorShapeProto.dim = 1,
Dimension.dim_value = 1, dim_param = 2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from recognizer.model.protobuf import read_fields, write_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

_OLDEST_OPSET = 13  # Softmax over one axis, Clip with its limits as inputs
_GROWN = ("scores", "maps")
_FLOAT, _INT64 = 1, 7  # TensorProto.DataType
_INT_ATTRIBUTE = 2  # AttributeProto.AttributeType
_NEAREST = 1e-6  # local probabilities stay this far from 0 and 1, where log-odds are finite


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A linear head over the embedding.

    Attributes:
        weight: float32, (channels,).
        bias: log-odds = weight . embedding + bias (+ ``own_weight`` x the label's own log-odds).
        own_weight: share of the old log-odds of a label that is strengthened; 0 or above.
    """

    weight: NDArray[np.float32]
    bias: float
    own_weight: float = 0.0


def add_head(
    model: bytes, head: Head, *, labels: int, softmax: bool, replaced: int | None = None
) -> bytes:
    """Return a model with one label more, or with one replaced.

    Args:
        model: an ONNX file with the outputs ``scores``, ``maps`` and ``embedding``, the last
            being pooled features.
        head: the label's head.
        labels: how many labels the model has.
        softmax: whether its maps are to be read with a softmax; those of the result are to be
            read with a sigmoid in any case.
        replaced: column of the label that is strengthened; None for a new one, which comes last.

    Raises:
        ValueError: the file is no ONNX model, or not of this form; the message says what differs.
    """
    graphs, rest = [], []
    opset = 0
    for number, value, raw in read_fields(memoryview(model)):
        if number == 7 and isinstance(value, memoryview):
            graphs.append(value)
            continue
        if number == 8 and isinstance(value, memoryview):
            opset = max(opset, _onnx_version(value))
        rest.append(bytes(raw))
    if len(graphs) != 1:
        raise ValueError(f"{len(graphs)} graphs instead of one")
    if opset < _OLDEST_OPSET:
        raise ValueError(f"opset {opset}: at least {_OLDEST_OPSET}")
    graph = _Graph.read(graphs[0])
    additions = _Additions(graph.unused_prefix())
    old = additions.names(_GROWN)
    fields = graph.renamed(dict(zip(_GROWN, old, strict=True)))
    count = labels if replaced is not None else labels + 1
    fields += _added(additions, head, graph.features(), old, labels, softmax, replaced)
    fields += [write_field(12, _resized(graph.outputs[name], name, count)) for name in _GROWN]
    return b"".join([*rest, write_field(7, b"".join(fields))])


def _added(
    add: _Additions,
    head: Head,
    features: str,
    old: Sequence[str],
    labels: int,
    softmax: bool,
    replaced: int | None,
) -> list[bytes]:
    """Return the new nodes and tensors of the graph."""
    old_scores, old_maps = old
    if softmax:
        old_maps = _local_log_odds(add, old_maps)
    weight = add.tensor("weight", head.weight.astype(np.float32)[None, :, None, None])
    bias = add.tensor("bias", np.array([head.bias], np.float32))
    maps = add.node("Conv", [features, weight, bias])
    pooled = add.node("GlobalAveragePool", [maps])
    scores = add.node("Flatten", [pooled], axis=1)
    order = [*range(labels), labels]
    if replaced is not None:
        order = [labels if column == replaced else column for column in range(labels)]
        if head.own_weight:
            column = add.tensor("column", np.array([replaced], np.int64))
            share = add.tensor("share", np.array(head.own_weight, np.float32))
            own = [
                add.node("Mul", [add.node("Gather", [whole, column], axis=1), share])
                for whole in (old_scores, old_maps)
            ]
            scores, maps = add.node("Add", [scores, own[0]]), add.node("Add", [maps, own[1]])
    columns = add.tensor("columns", np.array(order, np.int64))
    for name, before, new in zip(_GROWN, (old_scores, old_maps), (scores, maps), strict=True):
        all_of_them = add.node("Concat", [before, new], axis=1)
        add.node("Gather", [all_of_them, columns], name, axis=1)
    return add.fields


def _local_log_odds(add: _Additions, maps: str) -> str:
    low = add.tensor("low", np.array(_NEAREST, np.float32))
    high = add.tensor("high", np.array(1 - _NEAREST, np.float32))
    one = add.tensor("one", np.array(1, np.float32))
    probability = add.node("Clip", [add.node("Softmax", [maps], axis=1), low, high])
    other = add.node("Sub", [one, probability])
    return add.node("Sub", [add.node("Log", [probability]), add.node("Log", [other])])


@dataclass(slots=True)
class _Additions:
    """Nodes and tensors that are being added, under names that nothing else has."""

    prefix: str
    fields: list[bytes] = field(default_factory=list)

    def names(self, names: Iterable[str]) -> list[str]:
        return [f"{self.prefix}{name}" for name in names]

    def tensor(self, name: str, values: NDArray[np.float32] | NDArray[np.int64]) -> str:
        kind = _FLOAT if values.dtype == np.float32 else _INT64
        parts = [write_field(1, size) for size in values.shape]
        parts += [write_field(2, kind), write_field(8, self.prefix + name)]
        little_endian = values.astype(values.dtype.newbyteorder("<"))
        parts.append(write_field(9, little_endian.tobytes()))
        self.fields.append(write_field(5, b"".join(parts)))
        return self.prefix + name

    def node(self, kind: str, inputs: Sequence[str], output: str = "", **attributes: int) -> str:
        output = output or f"{self.prefix}{kind.lower()}_{len(self.fields)}"
        parts = [write_field(1, name) for name in inputs]
        parts += [write_field(2, output), write_field(3, f"{self.prefix}node_{len(self.fields)}")]
        parts.append(write_field(4, kind))
        for name, value in attributes.items():
            content = write_field(1, name) + write_field(3, value)
            parts.append(write_field(5, content + write_field(20, _INT_ATTRIBUTE)))
        self.fields.append(write_field(1, b"".join(parts)))
        return output


@dataclass(frozen=True, slots=True)
class _Node:
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class _Graph:
    """What has to be known of a graph, and its fields as they stand."""

    content: memoryview
    nodes: tuple[_Node, ...]
    outputs: dict[str, memoryview]

    @classmethod
    def read(cls, content: memoryview) -> _Graph:
        nodes: list[_Node] = []
        outputs: dict[str, memoryview] = {}
        for number, value, _ in read_fields(content):
            if number == 1 and isinstance(value, memoryview):
                nodes.append(_read_node(value))
            elif number == 12 and isinstance(value, memoryview):
                outputs[_name(value)] = value
        for name in (*_GROWN, "embedding"):
            if name not in outputs:
                raise ValueError(f"no output {name!r}")
        return cls(content, tuple(nodes), outputs)

    def features(self) -> str:
        """The tensor from which the embedding is pooled."""
        node = next((n for n in self.nodes if "embedding" in n.outputs), None)
        if node is None or node.kind not in {"ReduceMean", "GlobalAveragePool"}:
            kind = "nothing" if node is None else node.kind
            raise ValueError(f"the embedding comes from {kind}, not from pooled features")
        return node.inputs[0]

    def unused_prefix(self) -> str:
        """The beginning of names that no tensor of the graph has."""
        names = {name for node in self.nodes for name in (*node.inputs, *node.outputs)}
        number = 1
        while any(name.startswith(f"enrolled_{number}.") for name in names):
            number += 1
        return f"enrolled_{number}."

    def renamed(self, names: dict[str, str]) -> list[bytes]:
        """The graph's fields with some tensors called otherwise, and without their declarations."""
        fields = []
        for number, value, raw in read_fields(self.content):
            if number == 1 and isinstance(value, memoryview):
                fields.append(write_field(1, _rename(value, names)))
            elif number in {12, 13} and isinstance(value, memoryview) and _name(value) in names:
                continue
            else:
                fields.append(bytes(raw))
        return fields


def _read_node(message: memoryview) -> _Node:
    texts: dict[int, list[str]] = {1: [], 2: [], 4: []}
    for number, value, _ in read_fields(message):
        if number in texts and isinstance(value, memoryview):
            texts[number].append(bytes(value).decode())
    return _Node(tuple(texts[1]), tuple(texts[2]), "".join(texts[4]))


def _rename(node: memoryview, names: dict[str, str]) -> bytes:
    parts = []
    for number, value, raw in read_fields(node):
        if number in {1, 2} and isinstance(value, memoryview):
            name = bytes(value).decode()
            parts.append(write_field(number, names.get(name, name)))
        else:
            parts.append(bytes(raw))
    return b"".join(parts)


def _name(value_info: memoryview) -> str:
    """Return the name of a ValueInfoProto."""
    names = [
        bytes(v).decode()
        for n, v, _ in read_fields(value_info)
        if n == 1 and not isinstance(v, int)
    ]
    return "".join(names)


def _onnx_version(opset: memoryview) -> int:
    """Return the version of an opset import of ONNX's own domain, else 0."""
    domain, version = "", 0
    for number, value, _ in read_fields(opset):
        if number == 1 and isinstance(value, memoryview):
            domain = bytes(value).decode()
        elif number == 2 and isinstance(value, int):
            version = value
    return version if domain in {"", "ai.onnx"} else 0


def _resized(output: memoryview, name: str, labels: int) -> bytes:
    """Return the declaration of an output (N, labels, ...) with another number of labels."""
    message = output
    for number in (2, 1, 2):  # type, tensor_type, shape
        message = next(
            (v for n, v, _ in read_fields(message) if n == number and isinstance(v, memoryview)),
            memoryview(b""),
        )
    dims = [bytes(raw) for number, _, raw in read_fields(message) if number == 1]
    if len(dims) < 2:
        raise ValueError(f"the output {name!r} has no shape (N, labels, ...)")
    dims[1] = write_field(1, write_field(1, labels))
    tensor = write_field(1, _FLOAT) + write_field(2, b"".join(dims))
    return write_field(1, name) + write_field(2, write_field(1, tensor))
