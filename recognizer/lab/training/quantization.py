"""The int8 version of an ONNX file: static, QDQ, per channel, the same on every CPU.

The head stays in fp32, and is corrected so that it answers to rounded features as it did to exact
ones. The uint8 input itself is the first quantised tensor.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from recognizer.lab.dataset.manifest import in_chunks
from recognizer.model.session import session_options

WEIGHT_BITS = 7  # of which products never overflow on processors without VNNI

_BATCH = 8  # photos in a pass
_OPERATIONS = ["Conv", "Add", "Clip", "Relu"]
_PENALTY = 10.0  # of the head's correction, in mean variances of a channel; best of 0.01 to 10


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # its module has no types
    def __init__(self, inputs: NDArray[np.uint8]) -> None:
        self.batches: Iterator[NDArray[np.uint8]] = (inputs[i : i + 1] for i in range(len(inputs)))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        return None if (images := next(self.batches, None)) is None else {"images": images}


def quantize(fp32: Path, int8: Path, inputs: NDArray[np.uint8]) -> None:
    """Write the int8 version of a file; training inputs, (N, size, size, 3), give the ranges."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(fp32), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(int8),
            _Reader(inputs),
            per_channel=True,
            reduce_range=True,  # of weights alone
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            nodes_to_exclude=_exact_nodes(onnx.load(str(prepared))),
            op_types_to_quantize=_OPERATIONS,
            extra_options={"ActivationSymmetric": False},
        )
    model = onnx.load(str(int8))
    _feed_pixels_directly(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(int8))


def _exact_nodes(model: onnx.ModelProto) -> list[str]:
    """Return the nodes from the head on, and those of the pooling, which alone add a constant."""
    constants = {weight.name for weight in model.graph.initializer}
    head, names = _head_node(model), []
    reached = set(head.output)
    for node in model.graph.node:  # in topological order
        if node.name == head.name or reached & set(node.input):
            reached.update(node.output)  # log-odds need more than 8 bits
            names.append(node.name)
        elif node.op_type == "Add" and constants & set(node.input):
            names.append(node.name)
    return names


def _feed_pixels_directly(model: onnx.ModelProto) -> None:
    """Make the uint8 pixels, reduced if the network reduces them, the first quantised tensor."""
    graph = model.graph
    behind = {name: node for node in graph.node for name in node.input[:1]}
    transpose = behind[graph.input[0].name]
    cast = behind[transpose.output[0]]
    last = behind[cast.output[0]]
    if last.op_type == "Resize":
        (scales,) = (t for t in graph.initializer if t.name == last.input[2])
        _replace(scales, numpy_helper.to_array(scales)[[0, 2, 3, 1]])
        reduce, last = last, behind[last.output[0]]
        reduce.input[0], transpose.input[0] = transpose.input[0], reduce.output[0]
        graph.node.remove(reduce)
        graph.node.insert(0, reduce)
    dequantizer = behind[last.output[0]]
    scale = numpy_helper.from_array(np.array(1, np.float32), "pixels_scale")
    zero = helper.make_tensor("pixels_zero_point", TensorProto.UINT8, [], [0])
    graph.initializer.extend([scale, zero])
    dequantizer.input[:] = [transpose.output[0], scale.name, zero.name]
    graph.node.remove(cast)
    graph.node.remove(last)
    del graph.value_info[:]


def correct_head(
    fp32: Path, int8: Path, inputs: NDArray[np.uint8], exact: NDArray[np.float32]
) -> None:
    """Give int8 the head of fp32, changed by a ridge regression to answer as to ``exact`` ones."""
    model = onnx.load(str(int8))
    weight, bias = _head(model)
    kernel, constant = (numpy_helper.to_array(tensor) for tensor in _head(onnx.load(str(fp32))))
    rounded = run_file(int8, inputs, "embedding").astype(float)
    mean, missing = rounded.mean(0), (exact - rounded) @ kernel[:, :, 0, 0].T
    x = rounded - mean
    gram = x.T @ x
    gram[np.diag_indices_from(gram)] += _PENALTY * np.trace(gram) / len(gram)
    change = np.linalg.solve(gram, x.T @ (missing - missing.mean(0)))
    shift = missing.mean(0) - mean @ change
    _replace(weight, (kernel + change.T[:, :, None, None]).astype(np.float32))
    _replace(bias, (constant + shift).astype(np.float32))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(int8))


def replace_head(path: Path, head: nn.Conv2d) -> None:
    """Give a file in fp32 another head."""
    model = onnx.load(str(path))
    for tensor, values in zip(_head(model), head.parameters(), strict=True):  # weight, bias
        _replace(tensor, values.detach().cpu().numpy())
    onnx.save(model, str(path))


def _head_node(model: onnx.ModelProto) -> onnx.NodeProto:
    nodes: list[onnx.NodeProto] = [n for n in model.graph.node if n.op_type == "Conv"]
    return nodes[-1]


def _head(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """Return weight and bias of the head; one without a bias gets zeros."""
    head = _head_node(model)
    if len(head.input) == 2:  # the exporter leaves out a bias of zeros
        labels = next(t for t in model.graph.initializer if t.name == head.input[1]).dims[0]
        zeros = numpy_helper.from_array(np.zeros(labels, np.float32), "head_bias")
        model.graph.initializer.append(zeros)
        head.input.append(zeros.name)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    return [tensors[name] for name in head.input[1:3]]


def _replace(tensor: onnx.TensorProto, values: NDArray[Any]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))


def run_file(path: Path, inputs: NDArray[np.uint8], output: str = "scores") -> NDArray[np.float32]:
    """Return an output of a model file for model inputs, uint8, (N, size, size, 3)."""
    session = onnxruntime.InferenceSession(  # more threads spin while they wait
        str(path), session_options(threads=1), providers=["CPUExecutionProvider"]
    )

    def run(some: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        images = (np.stack(some[i : i + _BATCH]) for i in range(0, len(some), _BATCH))
        return [row for part in images for row in session.run([output], {"images": part})[0]]

    return np.stack([*in_chunks(run, [*inputs])])


def narrow_kernel(wide: NDArray[Any]) -> NDArray[Any]:
    """Return the kernel, (outputs, 3, 3, 3), of a stem that gives two outputs of four pixels.

    wildlife-v7 and those before it have such stems: (2 x outputs, 4 x channels, 3, 2).
    """
    outputs, channels, rows = wide.shape[0] // 2, wide.shape[1] // 4, wide.shape[2]
    first = wide.reshape(2, outputs, 4, channels, rows, 2)[0]
    columns = (divmod(column, 4) for column in range(3))
    return np.stack([first[:, pixel, :, :, block] for block, pixel in columns], axis=-1)
