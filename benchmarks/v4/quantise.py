"""Make the int8 file of a student with weights of 7 bits, after a short training that knows of it.

Weights of 7 bits cannot overflow the 16-bit sums of CPUs without VNNI, so the file needs no flag
and gives the same scores everywhere. Training sees what they cost: weights and activations are
rounded as the file will round them (per channel and symmetric; per tensor, by the range over some
photos), and the network learns to answer as it did before.

    python benchmarks/v4/quantise.py --runs runs/v4 --name final --steps 200
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import cv2
import networks
import numpy as np
import onnx
import onnxruntime
import torch
import train
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize

from recognizer.training import onnx_export

LEVELS = 63
"""Largest absolute value of a weight: 2 x 255 x 63 fits into 16 bits."""


class Pooled(nn.Module):
    """The student in the form that ``recognizer`` exports.

    The head sees the roots of pooled features. So that a label's score stays the mean of its map,
    features are divided, place by place, by the roots of their means.
    """

    def __init__(self, student: train.Student) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(student.backbone)
        weight = student.head.weight
        self.head = nn.Conv2d(weight.shape[1], weight.shape[0], 1)
        with torch.no_grad():
            self.head.weight.copy_(weight[:, :, None, None])
            self.head.bias.copy_(student.head.bias)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return logits, maps and the embedding of uint8 images, (N, size, size, 3)."""
        x = self.backbone.forward_features(images.permute(0, 3, 1, 2).float())
        x = (x + networks.FLOOR) / networks.root(x.mean((2, 3), keepdim=True))
        maps = self.head(x)
        return maps.mean((2, 3)), maps, x.mean((2, 3))


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, scale: torch.Tensor, zero: Any, low: int, high: int
    ) -> Any:
        q = torch.round(x / scale) + zero
        ctx.save_for_backward((q >= low) & (q <= high))
        return (q.clamp(low, high) - zero) * scale

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:  # type: ignore[override]
        (inside,) = ctx.saved_tensors
        return gradient * inside, None, None, None, None


class Range(nn.Module):
    """The range of a tensor: watched first, then rounded to.

    Attributes:
        watching: whether it still widens with what passes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high, self.watching = 0.0, 0.0, True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Watch or round a tensor."""
        if self.watching:
            self.low = min(self.low, float(x.min()))
            self.high = max(self.high, float(x.max()))
            return x
        scale = torch.tensor(max(self.high - self.low, 1e-8) / 255)
        return _Round.apply(x, scale, round(-self.low / float(scale)), 0, 255)


class _RoundedWeight(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        scale = weight.detach().abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-8) / LEVELS
        return _Round.apply(weight, scale, 0, -LEVELS, LEVELS)


def make_aware(backbone: Any) -> list[Range]:
    """Let a fused backbone round weights and activations, in place; return its ranges."""
    ranges: list[Range] = []

    def ranged() -> Range:
        ranges.append(Range())
        return ranges[-1]

    for module in list(backbone.modules()):
        if isinstance(module, nn.Conv2d):
            parametrize.register_parametrization(module, "weight", _RoundedWeight())
    for module in list(backbone.modules()):
        if isinstance(module, nn.ReLU6):
            module.inplace = False
    for parent in [backbone, *(b for stage in backbone.blocks for b in stage)]:
        for name, child in dict(parent.named_children()).items():
            if name.startswith("bn"):
                setattr(parent, name, nn.Sequential(child, ranged()))
        if parent is not backbone and getattr(parent, "has_skip", False):
            _round_sum(parent, ranged())
    return ranges


def _round_sum(block: Any, rounded: Range) -> None:
    block.add_module("sum_range", rounded)
    inner = block.forward
    block.forward = lambda x: rounded(inner(x))


def tune(run: train.Run, student: train.Student, steps: int, rate: float) -> None:
    """Train the backbone to answer, rounded, as it does unrounded; in place."""
    before = copy.deepcopy(student).eval()
    backbone = student.backbone
    ranges = make_aware(backbone)
    photos = run.sampler.photos
    rng = np.random.default_rng(1)
    with torch.no_grad():
        places = rng.choice(np.flatnonzero(photos.table.split == "train"), 128, replace=False)
        inputs = [photos.square(int(i), run.recipe.size) for i in places]
        for first in range(0, len(inputs), 32):
            student(torch.from_numpy(np.stack(inputs[first : first + 32])))
    for one in ranges:
        one.watching = False
    parameters = list(backbone.parameters())
    for p in parameters:
        p.requires_grad_(True)
    optimizer = torch.optim.Adam(parameters, lr=rate)
    started, total = time.monotonic(), 0.0
    for step in range(steps):
        images, rows = run.sampler.batch(10**6 + step)
        factor = min(1.0, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                embedding, logits = before(images)
            mine, answers = student(images)
        loss = functional.kl_div(
            answers.log_softmax(1), logits.softmax(1), reduction="batchmean"
        ) + 10 * functional.mse_loss(mine, embedding)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        total += float(loss.detach())
        if (step + 1) % 20 == 0:
            speed = (step + 1) * len(rows) / (time.monotonic() - started)
            print(f"rounded {step + 1}/{steps} loss {total / 20:.5f} {speed:.1f}/s", flush=True)
            total = 0.0
    for module in list(backbone.modules()):
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)


def plain_again(student: train.Student, recipe: train.Recipe, labels: int) -> train.Student:
    """Return a student without the rounding, with the same weights."""
    fresh = train.Student(recipe.network, labels, 0)
    own = fresh.state_dict()
    state = student.state_dict()
    fresh.load_state_dict({name: state[name] for name in own})
    return fresh.eval()


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


def scores(path: Path, inputs: NDArray[np.uint8], fused: bool = True) -> NDArray[np.float32]:
    """Return log-odds by onnxruntime; unfused, every operator between the roundings is in fp32."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    if not fused:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options)
    batches = [inputs[i : i + 16] for i in range(0, len(inputs), 16)]
    return np.concatenate([session.run(["scores"], {"images": b})[0] for b in batches])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rate", type=float, default=3e-5)
    asked = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("THREADS", "1")))
    cv2.setNumThreads(1)
    folder = asked.runs / "students" / asked.name
    recipe = train.Recipe(**json.loads((folder / "recipe.json").read_text()))
    run = train.Run(asked.runs, asked.name, recipe)
    student, labels = run.finished(), len(run.labels)
    photos = run.sampler.photos
    some = np.random.default_rng(0).permutation(np.flatnonzero(photos.table.split == "train"))
    ranged = np.stack([photos.square(int(i), recipe.size) for i in some[:300]])
    checked = np.stack([photos.square(int(i), recipe.size) for i in some[300:364]])
    out = folder / "onnx"
    out.mkdir(exist_ok=True)

    def export(which: train.Student, name: str) -> None:
        """Write the fp32 and the int8 file of a student."""
        served = onnx_export.ServedNetwork(Pooled(which).eval(), "softmax", labels)
        onnx_export.export_fp32(served, recipe.size, out / f"{name}-fp32.onnx")
        quantize(out / f"{name}-fp32.onnx", out / f"{name}-int8.onnx", ranged)

    export(student, "plain")
    if asked.steps:
        tune(run, student, asked.steps, asked.rate)
        export(plain_again(student, recipe, labels), "tuned")
    exact = 1 / (1 + np.exp(-scores(out / "plain-fp32.onnx", checked)))
    for path in sorted(out.glob("*-int8.onnx")):
        fused, unfused = (1 / (1 + np.exp(-scores(path, checked, f))) for f in (True, False))
        away = np.abs(fused - exact)
        print(
            f"{path.name} against fp32: mean {away.mean():.5f} max {away.max():.4f};",
            f"fused against unfused: max {np.abs(fused - unfused).max():.5f}",
        )
