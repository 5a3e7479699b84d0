"""Write a trained network as an ONNX file, in fp32 and in int8, and prove that they agree.

The int8 file is quantised statically (QDQ, unsigned activations, signed weights, per channel);
the head stays in fp32. Where the network takes raw pixels, the uint8 input itself is the first
quantised tensor, so that nothing is converted.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from recognizer.errors import TrainingError
from recognizer.model.description import Difference, Parity
from recognizer.model.session import session_options
from recognizer.training.model import ProductNetwork

OPSET = 18
MAX_MEGABYTES = 2000
"""Of protobuf, in one file; a bundle's model keeps no weights in other files."""

_CONVOLUTIONAL = ["Conv", "Add", "Clip", "Relu"]
_ATTENTIVE = ["Conv", "MatMul", "Gemm"]  # what is added and normalised there needs its range
_FAR_BELOW = -1e4  # stands for minus infinity, which not every runtime adds cleanly


class ServedNetwork(nn.Module):
    """The network as it is served: log-odds instead of logits.

    ``activation`` is ``softmax`` or ``sigmoid``; ``labels`` is the number of labels.
    """

    def __init__(self, network: ProductNetwork, activation: str, labels: int) -> None:
        super().__init__()
        self.network = network
        self.softmax = activation == "softmax"
        self.others: torch.Tensor
        self.register_buffer("others", torch.eye(labels) * _FAR_BELOW)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return log-odds (N, labels), maps (N, labels, h, w) and embedding (N, channels)."""
        logits, maps, embedding = self.network(images)
        return self.log_odds(logits), maps, embedding

    def log_odds(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the log-odds of the probabilities that logits stand for, (N, labels)."""
        if not self.softmax:
            return logits
        # log(p / (1 - p)) of a softmax: the logit against the log-sum-exp of all the others.
        return logits - torch.logsumexp(logits[:, None, :] + self.others, dim=2)


def export_fp32(served: ServedNetwork, size: int, path: Path) -> None:
    """Write the network as one ONNX file with a free batch dimension.

    Raises:
        TrainingError: it is too large for one, or torch cannot export it.
    """
    megabytes = sum(4 * weight.numel() for weight in served.parameters()) / 1e6
    if megabytes > MAX_MEGABYTES:
        raise TrainingError(
            f"the network has {megabytes:.0f} MB of weights, and one ONNX file holds "
            f"{MAX_MEGABYTES}: train a smaller backbone"
        )
    example = torch.zeros((2, size, size, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes on its own future
        program = torch.onnx.export(
            served.eval(),
            (example,),
            input_names=["images"],
            output_names=["scores", "maps", "embedding"],
            dynamic_shapes={"images": {0: torch.export.Dim("N", min=1)}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise TrainingError("torch.onnx.export returned no program")
    program.save(str(path), external_data=False)
    model = onnx.load(str(path))
    for node in model.graph.node:  # the exporter notes the paths of this computer's source files
        del node.metadata_props[:]
    onnx.save(model, str(path))
    onnx.checker.check_model(str(path), full_check=True)


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, inputs: NDArray[np.uint8]) -> None:
        self._inputs: Iterator[NDArray[np.uint8]] = iter(
            inputs[i : i + 8] for i in range(0, len(inputs), 8)
        )

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._inputs, None)
        return None if batch is None else {"images": batch}


def quantize(fp32: Path, int8: Path, inputs: NDArray[np.uint8]) -> None:
    """Write the int8 version of an fp32 file.

    Args:
        fp32: the file of :func:`export_fp32`.
        int8: the new file.
        inputs: model inputs from training photos, uint8, (N, size, size, 3): they give the ranges
            of the activations.

    Raises:
        TrainingError: the graph does not begin as expected.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(fp32), str(prepared), skip_symbolic_shape=True)
        model = onnx.load(str(prepared))
        pixels = _pixels_tensor(model)
        attentive = any(node.op_type == "Softmax" for node in model.graph.node)
        quantize_static(
            str(prepared),
            str(int8),
            _Batches(inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_ATTENTIVE if attentive else _CONVOLUTIONAL,
            nodes_to_exclude=[*_head_nodes(model), *_products(model)],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
    quantized = onnx.load(str(int8))
    _feed_pixels_directly(quantized, pixels)
    onnx.checker.check_model(quantized, full_check=True)
    onnx.save(quantized, str(int8))


def _pixels_tensor(model: onnx.ModelProto) -> str:
    """Return the name of the first convolution's input."""
    return next(str(node.input[0]) for node in model.graph.node if node.op_type == "Conv")


def _products(model: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes that multiply activations with each other: attention."""
    weights = {weight.name for weight in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "MatMul" and not weights & set(node.input)
    ]


def _head_nodes(model: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes from ``maps`` on: log-odds need more than 8 bits."""
    reached = {"maps"}
    names = []
    for node in model.graph.node:  # in topological order
        if "maps" in node.output or reached & set(node.input):
            reached.update(node.output)
            names.append(node.name)
    return names


def _feed_pixels_directly(model: onnx.ModelProto, pixels: str) -> None:
    """Make the uint8 pixels the first quantised tensor: scale 1, zero point 0, no arithmetic.

    If a layer of its own normalises them, its output is quantised like any other tensor.
    """
    nodes = model.graph.node
    producer = {output: node for node in nodes for output in node.output}
    quantizer = next(
        (n for n in nodes if n.op_type == "QuantizeLinear" and n.input[0] == pixels), None
    )
    chain = []
    tensor = pixels
    while tensor in producer and producer[tensor].op_type in {"Cast", "Transpose", "Pad"}:
        chain.append(producer[tensor])
        tensor = producer[tensor].input[0]
    if tensor != model.graph.input[0].name:
        return
    cast = next((n for n in chain if n.op_type == "Cast"), None)
    if quantizer is None or cast is None or any(n.op_type == "Pad" for n in chain):
        raise TrainingError("the graph does not begin with uint8 pixels, a cast and a convolution")
    one = numpy_helper.from_array(np.array(1, np.float32), "pixels_scale")
    zero = helper.make_tensor("pixels_zero_point", TensorProto.UINT8, [], [0])
    unused = set(quantizer.input[1:])
    kept = [i for i in model.graph.initializer if i.name not in unused]
    del model.graph.initializer[:]
    model.graph.initializer.extend([*kept, one, zero])
    dequantizer = next(
        n for n in nodes if n.op_type == "DequantizeLinear" and n.input[0] == quantizer.output[0]
    )
    # Without the cast, what reaches the quantiser is the uint8 image already.
    for node in nodes:
        for i, name in enumerate(node.input):
            if name == cast.output[0]:
                node.input[i] = cast.input[0]
    source = quantizer.input[0] if chain[0] is not cast else cast.input[0]
    dequantizer.input[:] = [source, "pixels_scale", "pixels_zero_point"]
    nodes.remove(cast)
    nodes.remove(quantizer)
    del model.graph.value_info[:]


def parity(served: ServedNetwork, fp32: Path, int8: Path, inputs: NDArray[np.uint8]) -> Parity:
    """Compare both ONNX files with the network on model inputs, uint8, (N, size, size, 3)."""
    with torch.no_grad():
        batches = [torch.from_numpy(inputs[i : i + 8]) for i in range(0, len(inputs), 8)]
        reference = torch.cat([served(batch)[0] for batch in batches]).sigmoid().numpy()

    def difference(file: Path) -> Difference:
        session = onnxruntime.InferenceSession(
            str(file), session_options(), providers=["CPUExecutionProvider"]
        )
        scores = np.concatenate(
            [session.run(["scores"], {"images": b.numpy()})[0] for b in batches]
        )
        found = np.abs(1 / (1 + np.exp(-scores)) - reference)
        return Difference(largest=float(f"{found.max():.3g}"), mean=float(f"{found.mean():.3g}"))

    return Parity(photos=len(inputs), fp32=difference(fp32), int8=difference(int8))
