"""The int8 version of an ONNX file: static, QDQ, per channel, the same on every CPU.

The head stays in fp32, and is corrected so that it answers to rounded features as it did to exact
ones. The uint8 input itself is the first quantised tensor.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from recognizer.lab.dataset.manifest import in_chunks
from recognizer.lab.training.weight_rounding import BATCH, fit_weights, observe, open_file

_OPERATIONS = ["Conv", "Add", "Clip", "Relu"]
_CUTS = {"Clip", "Relu"}  # what they cut off needs no steps
_PENALTY = 10.0  # of the head's correction, in mean variances of a channel; best of 0.01 to 10


def quantize(
    fp32: Path,
    int8: Path,
    inputs: NDArray[np.uint8],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """Write the int8 version of a file; training inputs, (N, size, size, 3), give the ranges."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(fp32), str(prepared), skip_symbolic_shape=True)
        model = onnx.load(str(prepared))
    exact = _exact_nodes(model)
    nodes = [n for n in model.graph.node if n.op_type in _OPERATIONS and n.name not in exact]
    tensors = {name for node in nodes for name in (*node.input, *node.output)}
    tensors -= {"", *(tensor.name for tensor in model.graph.initializer)}
    uses = Counter(name for node in model.graph.node for name in node.input)
    cut = {n.input[0]: n.output[0] for n in nodes if n.op_type in _CUTS and uses[n.input[0]] == 1}
    convolutions, ranges = observe(model, nodes, tensors - cut.keys(), inputs)
    ranges |= {name: ranges[kept] for name, kept in cut.items()}
    steps = {"axis": 0, "quant_type": QuantType.QInt8, "zero_point": 0}
    scales = {  # which it need not look for, channel by channel
        own.name: [{**steps, "scale": scale} for scale in own.scale.astype(np.float32).flat]
        for own in convolutions
    }
    quantizer = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=True,  # of weights alone
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
        nodes_to_quantize=[],
        nodes_to_exclude=exact,
        op_types_to_quantize=_OPERATIONS,
        extra_options={"ActivationSymmetric": False, "TensorQuantOverrides": scales},
    )
    quantized = quantizer.quantize_model()
    quantizer.model.topological_sort()
    _feed_pixels_directly(quantized)
    fit_weights(convolutions, quantized, on_progress)
    widen_stem(quantized)
    onnx.checker.check_model(quantized, full_check=True)
    onnx.save(quantized, str(int8))


def _exact_nodes(model: onnx.ModelProto) -> list[str]:
    """Return the nodes from ``maps`` on, and those of the pooling, which alone add a constant."""
    constants = {weight.name for weight in model.graph.initializer}
    reached, names = {"maps"}, []
    for node in model.graph.node:  # in topological order
        if "maps" in node.output or reached & set(node.input):
            reached.update(node.output)  # log-odds need more than 8 bits
            names.append(node.name)
        elif node.op_type == "Add" and constants & set(node.input):
            names.append(node.name)
    return names


def _feed_pixels_directly(model: onnx.ModelProto) -> None:
    """Make the uint8 pixels the first quantised tensor."""
    graph = model.graph
    kinds = ("Transpose", "Cast", "QuantizeLinear", "DequantizeLinear")
    transpose, cast, quantizer, dequantizer = _first(graph, graph.input[0].name, *kinds)
    for unused in [t for t in graph.initializer if t.name in quantizer.input[1:]]:
        graph.initializer.remove(unused)
    one = numpy_helper.from_array(np.array(1, np.float32), "pixels_scale")
    zero = helper.make_tensor("pixels_zero_point", TensorProto.UINT8, [], [0])
    graph.initializer.extend([one, zero])
    dequantizer.input[:] = [transpose.output[0], one.name, zero.name]
    graph.node.remove(cast)
    graph.node.remove(quantizer)
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


def _head(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """Return weight and bias of the head; one without a bias gets zeros."""
    head = next(node for node in model.graph.node if "maps" in node.output)
    if len(head.input) == 2:  # the exporter leaves out a bias of zeros
        labels = next(t for t in model.graph.initializer if t.name == head.input[1]).dims[0]
        zeros = numpy_helper.from_array(np.zeros(labels, np.float32), "head_bias")
        model.graph.initializer.append(zeros)
        head.input.append(zeros.name)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    return [tensors[name] for name in head.input[1:3]]


def run_file(path: Path, inputs: NDArray[np.uint8], output: str = "scores") -> NDArray[np.float32]:
    """Return an output of a model file for model inputs, uint8, (N, size, size, 3)."""
    session = open_file(str(path))

    def run(some: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        images = (np.stack(some[i : i + BATCH]) for i in range(0, len(some), BATCH))
        return [row for part in images for row in session.run([output], {"images": part})[0]]

    return np.stack([*in_chunks(run, [*inputs])])


# --- the first convolution ----------------------------------------------------------------------

# Of a 3 x 3 stem, onnxruntime collects nine pieces of three bytes for each output more slowly than
# it multiplies them. Six pieces of twelve bytes give two outputs: four neighbours of a row are read
# as one pixel of twelve channels. The sums stay the same to the last bit, and a pass of Lite0 at
# 256 pixels takes 8.3 instead of 9.4 ms of a CPU with AMX (one thread, medians of 40).

PIXELS = 4  # that are read as one
STRIDE = 2
OUTPUTS = PIXELS // STRIDE  # that are written as one

_SHAPE = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1], "group": 1}
"""The attributes of the stems of TensorFlow's networks."""


def widen_stem(model: onnx.ModelProto) -> bool:
    """Change the first convolution; return whether it is one that can be widened.

    Stems of another shape, and widths that four does not divide, are left as they are.
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
    kernel = constants[weight.input[0]]
    outputs = kernel.dims[0]
    _replace(kernel, wide_kernel(numpy_helper.to_array(kernel)))
    for name in {*weight.input[1:], *bias.input}:
        if list(constants[name].dims) == [outputs]:
            _replace(constants[name], np.tile(numpy_helper.to_array(constants[name]), OUTPUTS))
    kept = [a for a in convolution.attribute if a.name not in _SHAPE]
    del convolution.attribute[:]
    wide = {**_SHAPE, "kernel_shape": [3, 2], "strides": [2, 1]}
    convolution.attribute.extend([*kept, *(helper.make_attribute(*own) for own in wide.items())])
    shapes = {
        "stem_pixels": [0, height, width // PIXELS, 3 * PIXELS],
        "stem_outputs": [0, height // STRIDE, width // STRIDE, outputs],
    }
    graph.initializer.extend(numpy_helper.from_array(np.array(v), n) for n, v in shapes.items())
    (last,) = rounding
    behind, rounded = [*graph.node].index(last) + 1, last.output[0]
    last.output[0] = "stem_wide"
    for node in (
        helper.make_node("Transpose", ["stem_written"], [rounded], perm=[0, 3, 1, 2]),
        helper.make_node("Reshape", ["stem_last", "stem_outputs"], ["stem_written"]),
        helper.make_node("Transpose", ["stem_wide"], ["stem_last"], perm=[0, 2, 3, 1]),
    ):
        graph.node.insert(behind, node)
    read = helper.make_node("Reshape", [transpose.input[0], "stem_pixels"], ["stem_read"])
    transpose.input[0] = read.output[0]
    graph.node.insert(0, read)
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


def _replace(tensor: onnx.TensorProto, values: NDArray[Any]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))


def wide_kernel(kernel: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the kernel of the widened convolution, (2 x outputs, 4 x channels, 3, 2).

    All outputs of the left of two neighbours come first; the channels of a pixel stay together.
    """
    outputs, channels, rows, columns = kernel.shape
    wide = np.zeros((OUTPUTS, outputs, PIXELS, channels, rows, 2), kernel.dtype)
    for place in range(OUTPUTS):
        for column in range(columns):
            block, pixel = divmod(STRIDE * place + column, PIXELS)
            wide[place, :, pixel, :, :, block] = kernel[:, :, :, column]
    return wide.reshape(OUTPUTS * outputs, PIXELS * channels, rows, 2)


def narrow_kernel(wide: NDArray[Any]) -> NDArray[Any]:
    """Return the kernel that :func:`wide_kernel` widened."""
    rows = wide.shape[2]
    outputs, channels = wide.shape[0] // OUTPUTS, wide.shape[1] // PIXELS
    first = wide.reshape(OUTPUTS, outputs, PIXELS, channels, rows, 2)[0]
    columns = (divmod(column, PIXELS) for column in range(3))
    return np.stack([first[:, pixel, :, :, block] for block, pixel in columns], axis=-1)
