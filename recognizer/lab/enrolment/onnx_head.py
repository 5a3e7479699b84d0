"""Add a label to a served model, as a 1x1 convolution in its ONNX graph.

A softmax over the maps would let it take from the others: they become local log-odds first.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import numpy_helper

_MIN_OPSET = 18
_GROWN = ("scores", "maps")
_NEAREST = 1e-6  # local probabilities stay this far from 0 and 1, where log-odds are finite


_GRAPH = """
head (float[N, C, h, w] features, float[N, L] old_scores, float[N, L, h, w] old_maps)
    => (float[N, M] scores, float[N, M, h, w] maps) {{
    own_maps = Conv (features, weight, bias)
    pooled = GlobalAveragePool (own_maps)
    own_scores = Flatten <axis = 1> (pooled)
    scores = Concat <axis = 1> (old_scores, own_scores)
    {odds}
    maps = Concat <axis = 1> (odds, own_maps)
}}
"""
_SAME = "odds = Identity (old_maps)"
_LOCAL = f"""
    low = Constant <value_float = {_NEAREST:.6f}> ()
    high = Constant <value_float = {1 - _NEAREST:.6f}> ()
    one = Constant <value_float = 1.0> ()
    shares = Softmax <axis = 1> (old_maps)
    local = Clip (shares, low, high)
    rest = Sub (one, local)
    log_local = Log (local)
    log_rest = Log (rest)
    odds = Sub (log_local, log_rest)
"""


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
    graph = proto.graph
    features = _pooled_features(graph, labels + 1)
    used = {name for node in graph.node for name in (*node.input, *node.output)}
    prefixes = (f"enrolled_{number}." for number in itertools.count(1))
    prefix = next(p for p in prefixes if not any(name.startswith(p) for name in used))
    _rename(graph, {name: f"{prefix}old_{name}" for name in _GROWN})
    added = onnx.parser.parse_graph(_GRAPH.format(odds=_LOCAL if softmax else _SAME))
    inside = {name for node in added.node for name in (*node.input, *node.output) if name}
    _rename(added, {name: prefix + name for name in inside - {*_GROWN}} | {"features": features})
    weight = head.weight.astype(np.float32)[None, :, None, None]
    for name, value in (("weight", weight), ("bias", np.array([head.bias], np.float32))):
        graph.initializer.append(numpy_helper.from_array(value, prefix + name))
    graph.node.extend(added.node)
    return bytes(proto.SerializeToString())


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for node in graph.node:
        for own in (node.input, node.output):
            own[:] = [names.get(name, name) for name in own]


def _pooled_features(graph: onnx.GraphProto, labels: int) -> str:
    """Return the name of the features; make room for as many labels in what is declared."""
    shapes = {output.name: output.type.tensor_type.shape.dim for output in graph.output}
    for name in _GROWN:
        if len(shapes.get(name, ())) < 2:
            raise ValueError(f"no output {name!r} of a shape (N, labels, ...)")
        shapes[name][1].dim_value = labels
    for info in [info for info in graph.value_info if info.name in _GROWN]:
        graph.value_info.remove(info)
    pooling = next((n for n in graph.node if "embedding" in n.output), None)
    if pooling is None or pooling.op_type not in {"ReduceMean", "GlobalAveragePool"}:
        kind = "nothing" if pooling is None else pooling.op_type
        raise ValueError(f"the embedding comes from {kind}, not from pooled features")
    return str(pooling.input[0])
