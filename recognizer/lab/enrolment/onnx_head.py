"""Add a label to a served model, as a 1x1 convolution in its ONNX graph.

A softmax over the maps would let it take from the others: they become local log-odds first.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import helper, numpy_helper

_MIN_OPSET = 18  # Resize of some axes
_GROWN = ("scores", "maps")
_NEAREST = 1e-6  # local probabilities stay this far from 0 and 1, where log-odds are finite


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A linear head over the embedding, with a float32 weight for each channel.

    Its log-odds are weight . embedding + bias.
    """

    weight: NDArray[np.float32]
    bias: float


def add_head(model: bytes, head: Head, *, labels: int, softmax: bool) -> bytes:
    """Return a model with one label more, the last one.

    The model has the outputs ``scores``, ``maps`` and ``embedding``, the last being pooled
    features; bytes of another form are a ValueError. ``softmax`` says how its maps are read; those
    of the result are read with a sigmoid.
    """
    try:
        proto = onnx.load_model_from_string(model)
    except DecodeError as error:
        raise ValueError(f"no ONNX model: {error}") from error
    opset = max((o.version for o in proto.opset_import if o.domain in {"", "ai.onnx"}), default=0)
    if opset < _MIN_OPSET:
        raise ValueError(f"opset {opset}: at least {_MIN_OPSET}")
    features = _pooled_features(proto.graph, labels + 1)
    add = _Additions(proto.graph)
    old_scores, old_maps = (add.renamed(name) for name in _GROWN)
    if softmax:
        old_maps = _local_log_odds(add, old_maps)
    weight = add.tensor("weight", head.weight.astype(np.float32)[None, :, None, None])
    bias = add.tensor("bias", np.array([head.bias], np.float32))
    maps = add.node("Conv", [features, weight, bias])
    pooled = add.node("GlobalAveragePool", [maps])
    scores = add.node("Flatten", [pooled], axis=1)
    maps = _of_one_size(add, maps, pooled, old_maps)
    for name, before, new in zip(_GROWN, (old_scores, old_maps), (scores, maps), strict=True):
        add.node("Concat", [before, new], name, axis=1)
    return bytes(proto.SerializeToString())


def _pooled_features(graph: onnx.GraphProto, labels: int) -> str:
    """Return the name of the features; make room for as many labels in what is declared."""
    outputs = {output.name: output for output in graph.output}
    for name in (*_GROWN, "embedding"):
        if name not in outputs:
            raise ValueError(f"no output {name!r}")
    for name in _GROWN:
        shape = outputs[name].type.tensor_type.shape.dim
        if len(shape) < 2:
            raise ValueError(f"the output {name!r} has no shape (N, labels, ...)")
        shape[1].dim_value = labels
    for info in [info for info in graph.value_info if info.name in _GROWN]:
        graph.value_info.remove(info)
    pooling = next((n for n in graph.node if "embedding" in n.output), None)
    if pooling is None or pooling.op_type not in {"ReduceMean", "GlobalAveragePool"}:
        kind = "nothing" if pooling is None else pooling.op_type
        raise ValueError(f"the embedding comes from {kind}, not from pooled features")
    return str(pooling.input[0])


class _Additions:
    """Adds nodes and tensors to a graph, under names that nothing else in it has."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        names = {name for node in graph.node for name in (*node.input, *node.output)}
        prefixes = (f"enrolled_{number}." for number in itertools.count(1))
        self.prefix = next(p for p in prefixes if not any(name.startswith(p) for name in names))

    def renamed(self, name: str) -> str:
        """Give a tensor of the model another name, which is returned."""
        for node in self._graph.node:
            for names in (node.input, node.output):
                names[:] = [self.prefix + name if one == name else one for one in names]
        return self.prefix + name

    def tensor(self, name: str, values: NDArray[np.float32]) -> str:
        self._graph.initializer.append(numpy_helper.from_array(values, self.prefix + name))
        return self.prefix + name

    def node(self, kind: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        number = len(self._graph.node)
        output = output or f"{self.prefix}{kind.lower()}_{number}"
        name = f"{self.prefix}node_{number}"
        self._graph.node.append(helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output


def _of_one_size(add: _Additions, maps: str, pooled: str, like: str) -> str:
    """Return maps of the size of others, of the same means: a cascade's stages differ in it."""
    size = add.node("Shape", [like], start=2)
    resized = add.node("Resize", [maps, "", "", size], mode="linear", axes=[2, 3])
    change = add.node("Sub", [pooled, add.node("GlobalAveragePool", [resized])])
    return add.node("Add", [resized, change])


def _local_log_odds(add: _Additions, maps: str) -> str:
    low = add.tensor("low", np.array(_NEAREST, np.float32))
    high = add.tensor("high", np.array(1 - _NEAREST, np.float32))
    one = add.tensor("one", np.array(1, np.float32))
    probability = add.node("Clip", [add.node("Softmax", [maps], axis=1), low, high])
    other = add.node("Sub", [one, probability])
    return add.node("Sub", [add.node("Log", [probability]), add.node("Log", [other])])
