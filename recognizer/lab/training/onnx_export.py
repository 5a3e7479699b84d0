"""Write a trained network as an ONNX file in fp32; compare it and its int8 version with torch."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import compose, numpy_helper
from onnx.utils import Extractor
from torch import nn

from recognizer.lab.training.model import FAR_BELOW, log_odds_of
from recognizer.lab.training.quantization import run_file
from recognizer.model.description import Difference, Parity
from recognizer.model.numerics import sigmoid

if TYPE_CHECKING:
    from recognizer.lab.training.cascade import Cascade

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
    _scale_by_factors(model)
    del model.graph.value_info[:]  # sizes of two images
    for value in (*model.graph.input, *model.graph.output):
        _shape(value)[0].dim_param = "N"
    for node in model.graph.node:  # the exporter notes the paths of this computer's source files
        del node.metadata_props[:]
    onnx.save(model, str(path))
    onnx.checker.check_model(str(path), full_check=True)


def _scale_by_factors(model: onnx.ModelProto) -> None:
    """Give each Resize factors instead of sizes, which are those of two images."""
    shapes = {v.name: [d.dim_value for d in _shape(v)] for v in model.graph.value_info}
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Resize":
            factors = constants[node.input[3]] / np.array(shapes[node.input[0]])
            factors[0] = 1
            name = f"{node.output[0]}_factors"
            model.graph.initializer.append(
                numpy_helper.from_array(factors.astype(np.float32), name)
            )
            node.input[:] = [node.input[0], "", name]
    used = {name for node in model.graph.node for name in node.input}
    for unused in [t for t in model.graph.initializer if t.name not in used]:
        model.graph.initializer.remove(unused)


def parity(
    log_odds: NDArray[np.float32], fp32: Path, int8: Path, inputs: NDArray[np.uint8]
) -> Parity:
    """Compare the ONNX files with torch's log-odds of model inputs, uint8, (N, size, size, 3)."""

    def difference(file: Path) -> Difference:
        found = np.abs(sigmoid(run_file(file, inputs)) - sigmoid(log_odds))
        return Difference(largest=float(f"{found.max():.3g}"), mean=float(f"{found.mean():.3g}"))

    return Parity(photos=len(inputs), fp32=difference(fp32), int8=difference(int8))


# --- a cascade ------------------------------------------------------------------------------------

_GRAPH = """
cascade (uint8[N, {side}, {side}, 3] images) => (
    float[N, {labels}] scores,
    float[N, {labels}, {rows}, {columns}] maps,
    float[N, {channels}] embedding
) {{
    is_over = Greater (first_scores, bars)
    as_number = Cast <to = 1> (is_over)
    of_photos = ReduceMax (as_number, label_axis)
    is_suspected = Cast <to = 9> (of_photos)
    largest = ReduceMax <keepdims = 0> (of_photos)
    is_any = Cast <to = 9> (largest)
    first_logits = ReduceMean <keepdims = 0> (first_maps, places)
    weak = Sub (first_logits, shift)
    logits, raw_maps = If (is_any) <
        then_branch = suspected () => (
            float[N, {labels}] chosen, float[N, {labels}, {rows}, {columns}] chosen_maps
        ) {{
            strong_maps = Mean ({maps})
            strong = ReduceMean <keepdims = 0> (strong_maps, places)
            chosen = Where (is_suspected, strong, weak)
            is_map_suspected = Unsqueeze (is_suspected, places)
            chosen_maps = Where (is_map_suspected, strong_maps, first_maps)
        }},
        else_branch = unsuspected () => (
            float[N, {labels}] kept, float[N, {labels}, {rows}, {columns}] kept_maps
        ) {{
            kept = Identity (weak)
            kept_maps = Identity (first_maps)
        }}
    >
    raw_logits = ReduceMean <keepdims = 0> (raw_maps, places)
    missing = Sub (logits, raw_logits)
    missing_map = Unsqueeze (missing, places)
    maps = Add (raw_maps, missing_map)
    each = Unsqueeze (logits, label_axis)
    other = Add (each, not_itself)
    of_others = ReduceLogSumExp <keepdims = 0> (other, last_axis)
    scores = Sub (logits, of_others)
}}
"""


def write_cascade(cascade: "Cascade", first: Path, second: Sequence[Path], path: Path) -> None:
    """Join the networks of a cascade; the ensemble runs if any image of a batch is suspected."""
    model, gate = onnx.load(str(first)), cascade.gate
    ensemble = [_maps_alone(file, f"ensemble_{i}_") for i, file in enumerate(second)]
    labels = len(gate.bars)
    size = _shape(model.graph.input[0])[1].dim_value
    rows, columns = (d.dim_value for d in _shape(model.graph.output[1])[2:])
    strong_maps = [graph.output[0].name for graph in ensemble]
    written = onnx.parser.parse_graph(
        _GRAPH.format(
            side=size,
            labels=labels,
            rows=rows,
            columns=columns,
            channels=_shape(model.graph.output[2])[1].dim_value,
            maps=", ".join(["first_maps", *strong_maps]),
        )
    )
    constants = {
        "bars": np.minimum(gate.bars, -FAR_BELOW).astype(np.float32)[None],
        "shift": (gate.shift * gate.is_product).astype(np.float32)[None],
        "not_itself": (np.eye(labels) * FAR_BELOW).astype(np.float32)[None],
        "label_axis": [1],
        "last_axis": [2],
        "places": [2, 3],
    }
    tensors = (numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items())
    written.initializer.extend(tensors)
    branch = next(n for n in written.node if n.op_type == "If").attribute[0].g
    for graph in reversed(ensemble):
        _insert(branch, graph.node)
    branch.initializer.extend(tensor for graph in ensemble for tensor in graph.initializer)
    own = model.graph
    for node in own.node:
        for names in (node.input, node.output):
            names[:] = [f"first_{n}" if n in {"scores", "maps"} else n for n in names]
    _insert(written, own.node)
    written.initializer.extend(own.initializer)
    model.graph.CopyFrom(written)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _insert(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Put nodes at the beginning of a graph."""
    for node in reversed(nodes):
        graph.node.insert(0, node)


def _shape(value: onnx.ValueInfoProto) -> Any:
    return value.type.tensor_type.shape.dim


def _maps_alone(file: Path, prefix: str) -> onnx.GraphProto:
    alone = Extractor(onnx.load(str(file))).extract_model(["images"], ["maps"])
    graph: onnx.GraphProto = compose.add_prefix(alone, prefix).graph
    for node in graph.node:
        node.input[:] = ["images" if n == f"{prefix}images" else n for n in node.input]
    return graph
