"""Write a trained network as an ONNX file in fp32; compare it and its int8 version with torch."""

import warnings
from copy import deepcopy
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import nn

from recognizer.lab.training.model import log_odds_of
from recognizer.lab.training.quantization import run_file
from recognizer.model.description import Difference, Parity
from recognizer.model.numerics import sigmoid

_OPSET = 18
_SIZED = {"Reshape", "Expand", "Tile", "Concat", "Slice", "Split"}  # perhaps for so many images


class _Served(nn.Module):
    """The network as it is served: log-odds instead of logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return log-odds (N, labels), maps (N, labels, h, w) and embedding (N, channels)."""
        logits, maps, embedding = self.network(images)
        return log_odds_of(logits), maps, embedding


def export_fp32(network: nn.Module, size: int, path: Path) -> None:
    """Write the network as one ONNX file with a free batch dimension."""
    for shapes in (None, {"images": {0: torch.export.Dim("N", min=1)}}):  # which take twice as long
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's notes on its own future
            program = torch.onnx.export(
                _Served(network).eval(),
                (torch.zeros((2, size, size, 3), dtype=torch.uint8),),
                input_names=["images"],
                output_names=["scores", "maps", "embedding"],
                dynamic_shapes=shapes,
                opset_version=_OPSET,
                dynamo=True,
                verbose=False,
            )
        model = cast("torch.onnx.ONNXProgram", program).model_proto
        if not _SIZED & {node.op_type for node in model.graph.node}:
            break
    del model.graph.value_info[:]  # sizes of two images
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    for node in model.graph.node:  # the exporter notes the paths of this computer's source files
        del node.metadata_props[:]
    onnx.save(model, str(path))
    onnx.checker.check_model(str(path), full_check=True)


def put_behind_gate(path: Path) -> None:
    """Let the networks behind an ensemble's gate run only where an image of the batch passes it.

    The file has one Where then: from the mean of all maps, and those of the first network.
    """
    model = onnx.load(str(path))
    graph, nodes = model.graph, deepcopy([*model.graph.node])
    place = next((i for i, node in enumerate(nodes) if node.op_type == "Where"), None)
    if place is None:
        return

    def needed(*names: str) -> set[str]:
        found = {*names}
        for node in reversed(nodes[:place]):  # which are in topological order
            if found & {*node.output}:
                found.update(node.input)
        return found

    is_suspected, mean, first = nodes[place].input
    behind = needed(mean) - needed(is_suspected, first, graph.output[2].name)
    before, inside = list[onnx.NodeProto](), list[onnx.NodeProto]()
    for node in nodes[:place]:
        (inside if node.output[0] in behind else before).append(node)
    own_weights = behind - {name for node in nodes[place:] for name in node.input}
    weights = [tensor for tensor in graph.initializer if tensor.name in own_weights]
    kept = [tensor for tensor in graph.initializer if tensor.name not in own_weights]
    branches = {}
    for name, own, tensors in (
        ("then_branch", [*inside, nodes[place]], weights),
        ("else_branch", [helper.make_node("Identity", [first], [""])], []),
    ):
        result = helper.make_value_info(f"{name}_maps", graph.output[1].type)
        branches[name] = helper.make_graph(deepcopy(own), name, [], [result], deepcopy(tensors))
        branches[name].node[-1].output[0] = result.name
    gate = [
        helper.make_node("Cast", [is_suspected], ["number"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["number"], ["largest"], keepdims=0),
        helper.make_node("Cast", ["largest"], ["is_any"], to=TensorProto.BOOL),
        helper.make_node("If", ["is_any"], nodes[place].output, "gate", **branches),
    ]
    del graph.node[:], graph.initializer[:]
    graph.node.extend([*before, *gate, *nodes[place + 1 :]])
    graph.initializer.extend(kept)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def parity(
    log_odds: NDArray[np.float32], fp32: Path, int8: Path, inputs: NDArray[np.uint8]
) -> Parity:
    """Compare the ONNX files with torch's log-odds of model inputs, uint8, (N, size, size, 3)."""

    def difference(file: Path) -> Difference:
        found = np.abs(sigmoid(run_file(file, inputs)) - sigmoid(log_odds))
        return Difference(largest=float(f"{found.max():.3g}"), mean=float(f"{found.mean():.3g}"))

    return Parity(photos=len(inputs), fp32=difference(fp32), int8=difference(int8))
