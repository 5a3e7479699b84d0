"""The first convolution of an int8 file, computed four pixels at a time.

A stem takes 3 x 3 pixels of three channels: nine pieces of three bytes for each output, which
onnxruntime collects more slowly than it multiplies them. The same numbers come from six pieces of
twelve bytes for two outputs: four neighbours of a row are read as one pixel of twelve channels, and
two neighbouring outputs are written as one. Both are a matter of shapes, as memory already lies so.
The sums of integers, and with them all scores, stay the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

PIXELS = 4  # that are read as one
STRIDE = 2
OUTPUTS = PIXELS // STRIDE  # that are written as one

_SHAPE = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1], "group": 1}
"""Of the stems of TensorFlow's networks."""


def widen_stem(model: onnx.ModelProto) -> bool:
    """Change the first convolution; return whether it is one that can be widened.

    Args:
        model: an int8 file whose first tensor are the uint8 pixels, (N, height, width, 3). Networks
            that begin otherwise, and widths that are no multiple of four, are left as they are.
    """
    graph = model.graph
    _, height, width, _ = (d.dim_value for d in graph.input[0].type.tensor_type.shape.dim)
    stem = _first(graph, graph.input[0].name, "Transpose", "DequantizeLinear", "Conv")
    rounding = stem and _first(graph, stem[-1].output[0], "QuantizeLinear")
    if not stem or not rounding or height % STRIDE or width % PIXELS:
        return False
    transpose, _, convolution = stem
    shape = {a.name: helper.get_attribute_value(a) for a in convolution.attribute}
    if any(shape.get(name, 1) != value for name, value in _SHAPE.items()):
        return False
    constants = {tensor.name: tensor for tensor in graph.initializer}
    sources = {output: node for node in graph.node for output in node.output}
    weight, bias = (sources[name] for name in convolution.input[1:3])
    outputs = constants[weight.input[0]].dims[0]
    _replace(constants[weight.input[0]], wide_kernel)
    for name in {*weight.input[1:], *bias.input}:
        if list(constants[name].dims) == [outputs]:
            _replace(constants[name], lambda values: np.tile(values, OUTPUTS))
    kept = [a for a in convolution.attribute if a.name not in _SHAPE]
    del convolution.attribute[:]
    wide = {**_SHAPE, "kernel_shape": [3, 2], "strides": [2, 1]}
    convolution.attribute.extend([*kept, *(helper.make_attribute(*own) for own in wide.items())])

    graph.initializer.extend(
        [
            _ints("stem_pixels", [0, height, width // PIXELS, 3 * PIXELS]),
            _ints("stem_outputs", [0, height // STRIDE, width // STRIDE, outputs]),
        ]
    )
    read = helper.make_node("Reshape", [transpose.input[0], "stem_pixels"], ["stem_read"])
    transpose.input[0] = "stem_read"
    rounded = rounding[0].output[0]
    rounding[0].output[0] = "stem_wide"
    written = [
        helper.make_node("Transpose", ["stem_wide"], ["stem_last"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["stem_last", "stem_outputs"], ["stem_written"]),
        helper.make_node("Transpose", ["stem_written"], [rounded], perm=[0, 3, 1, 2]),
    ]
    nodes = [*graph.node]
    behind = nodes.index(rounding[0]) + 1
    del graph.node[:]
    graph.node.extend([read, *nodes[:behind], *written, *nodes[behind:]])
    del graph.value_info[:]
    return True


def _first(graph: onnx.GraphProto, tensor: str, *kinds: str) -> list[onnx.NodeProto]:
    """Return the nodes of these kinds that take a tensor one after the other; [] if others do."""
    found: list[onnx.NodeProto] = []
    for kind in kinds:
        takers = [node for node in graph.node if tensor in node.input]
        if len(takers) != 1 or takers[0].op_type != kind:
            return []
        found.append(takers[0])
        tensor = takers[0].output[0]
    return found


def _replace(tensor: onnx.TensorProto, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
    values = change(numpy_helper.to_array(tensor))
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))


def _ints(name: str, values: Sequence[int]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def wide_kernel(kernel: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the kernel of the widened convolution.

    Args:
        kernel: (outputs, channels, 3, 3).

    Returns:
        (2 x outputs, 4 x channels, 3, 2): first all outputs of the left of two neighbours; the
        channels of a pixel stay together.
    """
    outputs, channels, rows, columns = kernel.shape
    wide = np.zeros((OUTPUTS, outputs, PIXELS, channels, rows, 2), kernel.dtype)
    for place in range(OUTPUTS):
        for column in range(columns):
            block, pixel = divmod(STRIDE * place + column, PIXELS)
            wide[place, :, pixel, :, :, block] = kernel[:, :, :, column]
    return wide.reshape(OUTPUTS * outputs, PIXELS * channels, rows, 2)
