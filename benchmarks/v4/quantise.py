"""Make the int8 file of a student, with weights of 7 bits.

Weights of 7 bits cannot overflow the 16-bit sums of CPUs without VNNI, so the file needs no flag
and gives the same scores everywhere. The backbone is rounded as it is; then the head is corrected
by a ridge regression, so that on some training photos it answers as it did before.

    python benchmarks/v4/quantise.py --runs runs/v4 --name final
"""

from __future__ import annotations

import argparse
import copy
import json
import os
from pathlib import Path

import cv2
import heads
import networks
import numpy as np
import onnx
import onnxruntime
import torch
import train
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from recognizer.training import onnx_export

COMPARED = 64
PHOTOS = 1500
PENALTY = 10.0
"""Of the correction, as a multiple of the mean variance of an embedding's channel: of 0.01 to 10
the last left the least difference on 400 other photos."""


class Pooled(nn.Module):
    """The student in the form that ``recognizer`` exports.

    The head sees the roots of pooled features. So that a label's score stays the mean of its map,
    features are divided, place by place, by the roots of their means.
    """

    def __init__(self, student: train.Student, named: list[int]) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(student.backbone)
        weight = student.head.weight[named]
        self.head = nn.Conv2d(weight.shape[1], weight.shape[0], 1)
        with torch.no_grad():
            self.head.weight.copy_(weight[:, :, None, None])
            self.head.bias.copy_(student.head.bias[named])

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return logits, maps and the embedding of uint8 images, (N, size, size, 3)."""
        x = self.backbone.forward_features(images.permute(0, 3, 1, 2).float())
        x = (x + networks.FLOOR) / networks.root(x.mean((2, 3), keepdim=True))
        maps = self.head(x)
        return maps.mean((2, 3)), maps, x.mean((2, 3))


def quantize(fp32: Path, int8: Path, inputs: NDArray[np.uint8]) -> None:
    """Write the int8 file, as ``recognizer`` does but with weights of 7 bits."""
    prepared = fp32.with_name("prepared.onnx")
    quant_pre_process(str(fp32), str(prepared), skip_symbolic_shape=True)
    model = onnx.load(str(prepared))
    pixels = onnx_export._pixels_tensor(model)
    quantize_static(
        str(prepared),
        str(int8),
        onnx_export._Batches(inputs),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "Add", "Clip", "Relu"],
        nodes_to_exclude=_behind_the_backbone(model),
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        # The range of weights alone is reduced; that of activations must stay whole.
        extra_options={"ActivationSymmetric": False},
    )
    prepared.unlink()
    quantized = onnx.load(str(int8))
    onnx_export._feed_pixels_directly(quantized, pixels)
    onnx.checker.check_model(quantized, full_check=True)
    onnx.save(quantized, str(int8))


def _behind_the_backbone(model: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes behind the features: they need more than eight bits."""
    nodes = model.graph.node
    reached = {next(node for node in nodes if node.op_type == "ReduceMean").input[0]}
    names = []
    for node in nodes:  # in topological order
        if reached & set(node.input):
            reached.update(node.output)
            names.append(node.name)
    return names


def run(path: Path, inputs: NDArray[np.uint8], output: str = "scores") -> NDArray[np.float32]:
    """Return an output of a file by onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options)
    batches = [inputs[i : i + 16] for i in range(0, len(inputs), 16)]
    return np.concatenate([session.run([output], {"images": b})[0] for b in batches])


def correct_head(fp32: Path, int8: Path, inputs: NDArray[np.uint8], output: Path) -> None:
    """Write the int8 file with a head that answers as the head of fp32 does."""
    model = onnx.load(str(int8))
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    head = next(node for node in model.graph.node if "maps" in node.output)
    weight, bias = (tensors[name] for name in head.input[1:3])
    w = numpy_helper.to_array(weight)[:, :, 0, 0].T.astype(float)
    exact, rounded = (run(path, inputs, "embedding").astype(float) for path in (fp32, int8))
    mean, missing = rounded.mean(0), (exact - rounded) @ w
    x = rounded - mean
    gram = x.T @ x
    gram[np.diag_indices_from(gram)] += PENALTY * np.trace(gram) / len(gram)
    change = np.linalg.solve(gram, x.T @ (missing - missing.mean(0)))
    shift = missing.mean(0) - mean @ change
    for tensor, values in (
        (weight, (w + change).T[:, :, None, None]),
        (bias, numpy_helper.to_array(bias) + shift),
    ):
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(output))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--name", required=True)
    asked = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("THREADS", "1")))
    cv2.setNumThreads(1)
    folder = asked.runs / "students" / asked.name
    recipe = train.Recipe(**json.loads((folder / "recipe.json").read_text()))
    student = train.Run(asked.runs, asked.name, recipe)
    labels, photos = student.labels, student.sampler.photos
    named = [i for i, name in enumerate(labels) if name not in train.TOO_FEW]
    table = photos.table[photos.table.split == "train"]
    some = np.random.default_rng(0).permutation(table.index.to_numpy())[:300]
    weight = heads.weights_of(table.reset_index(drop=True), 0.5, 0.5)
    drawn = np.random.default_rng(5).choice(
        table.index.to_numpy(), PHOTOS, replace=False, p=weight / weight.sum()
    )
    ranged, seen = (
        np.stack([photos.square(int(i), recipe.size) for i in part]) for part in (some, drawn)
    )
    out = folder / "onnx"
    out.mkdir(exist_ok=True)
    fp32, plain, corrected = (
        out / f"{name}.onnx" for name in ("plain-fp32", "plain-int8", "tuned-int8")
    )
    served = onnx_export.ServedNetwork(
        Pooled(student.finished(), named).eval(), "softmax", len(named)
    )
    onnx_export.export_fp32(served, recipe.size, fp32)
    quantize(fp32, plain, ranged)
    correct_head(fp32, plain, seen, corrected)
    with torch.no_grad():
        few = [served(torch.from_numpy(seen[i : i + 16]))[0] for i in range(0, COMPARED, 16)]
    exact = torch.cat(few).sigmoid().numpy()
    found: dict[str, object] = {"photos": COMPARED}
    for path in (fp32, corrected):
        away = np.abs(1 / (1 + np.exp(-run(path, seen[:COMPARED]))) - exact)
        found[path.stem] = {
            "largest": float(f"{away.max():.3g}"),
            "mean": float(f"{away.mean():.3g}"),
        }
    (out / "parity.json").write_text(json.dumps(found))
