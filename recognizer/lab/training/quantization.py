"""The int8 version of an ONNX file: static, QDQ, per channel, the same on every CPU.

Heads stay in fp32. The uint8 input itself is the first quantised tensor.
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

from recognizer.lab.dataset.manifest import in_chunks
from recognizer.model.session import session_options

WEIGHT_BITS = 7  # of which products never overflow on processors without VNNI

_BATCH = 8  # photos in a pass
_OPERATIONS = ["Conv", "Add", "Clip", "Relu"]


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
    """Return the nodes from the heads on, and those of the pooling, which alone add a constant."""
    constants = {weight.name for weight in model.graph.initializer}
    reached, names = set[str](), []
    for node in model.graph.node:  # in topological order
        is_head = any(name.endswith(".head.weight") for name in node.input)
        if is_head or reached & set(node.input):
            reached.update(node.output)  # log-odds need more than 8 bits
            names.append(node.name)
        elif node.op_type == "Add" and constants & set(node.input):
            names.append(node.name)
    return names


def _feed_pixels_directly(model: onnx.ModelProto) -> None:
    """Make the uint8 pixels the first quantised tensor of each network."""
    graph = model.graph
    scale = numpy_helper.from_array(np.array(1, np.float32), "pixels_scale")
    zero = helper.make_tensor("pixels_zero_point", TensorProto.UINT8, [], [0])
    graph.initializer.extend([scale, zero])

    def takers(name: str) -> list[onnx.NodeProto]:
        return [node for node in graph.node if name in node.input]

    for transpose in takers(graph.input[0].name):
        for cast in takers(transpose.output[0]):
            quantizers = takers(cast.output[0])
            if any(node.op_type != "QuantizeLinear" for node in quantizers):
                continue  # the network normalises pixels itself
            for quantizer in quantizers:
                for dequantizer in takers(quantizer.output[0]):
                    dequantizer.input[:] = [transpose.output[0], scale.name, zero.name]
                graph.node.remove(quantizer)
            graph.node.remove(cast)
    used = {name for node in graph.node for name in node.input}
    for unused in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(unused)
    del graph.value_info[:]


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
