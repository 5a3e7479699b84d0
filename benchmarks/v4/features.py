"""Frozen ImageNet features of every photo, by several networks, sizes and views.

    python benchmarks/v4/features.py --runs runs/v4 --network 2 --view plain260

A view is a name and a size: ``plain`` (as served), ``mirror``, ``center`` (the middle 70 % of each
side), ``fit`` (the whole photo on its mean colour, not stretched), ``tiles`` (mean of four corners
of 65 % of each side). Written to ``features/liteN-VIEW.npz``: ``last`` (N, 1280) and, with
``--middle``, ``middle`` (N, means and standard deviations of the stages 3 to 7), for all photos of
the manifest in its order. ``--int8`` computes faster, and writes ``liteNq-VIEW.npz``.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from pathlib import Path

import cv2
import networks
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from photos import Photos
from torch import nn

Picture = NDArray[np.uint8]
BATCH = 4
"""Views of more photos leave the processor's cache."""


def view(rgb: Picture, name: str, size: int) -> list[Picture]:
    """Return the model inputs of a view; their features are averaged."""
    height, width = rgb.shape[:2]
    if name == "mirror":
        rgb = rgb[:, ::-1]
    elif name == "center":
        y, x = round(0.15 * height), round(0.15 * width)
        rgb = rgb[y : height - y, x : width - x]
    elif name == "fit":
        side = max(height, width)
        canvas = np.empty((side, side, 3), np.uint8)
        canvas[:] = rgb.mean((0, 1)).astype(np.uint8)
        y, x = (side - height) // 2, (side - width) // 2
        canvas[y : y + height, x : x + width] = rgb
        rgb = canvas
    elif name == "tiles":
        h, w = round(0.65 * height), round(0.65 * width)
        return [
            _resize(rgb[y : y + h, x : x + w], size)
            for y in (0, height - h)
            for x in (0, width - w)
        ]
    return [_resize(rgb, size)]


def _resize(rgb: Picture, size: int) -> Picture:
    return np.asarray(
        cv2.resize(np.ascontiguousarray(rgb), (size, size), interpolation=cv2.INTER_LINEAR)
    )


class _Features(nn.Module):
    def __init__(self, name: str, middle: bool) -> None:
        super().__init__()
        self.network, self.middle = networks.backbone(name), middle

    def forward(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        if not self.middle:
            return networks.stages(self.network, images)[-1].mean((2, 3))
        maps = networks.stages(self.network, images)
        parts = [s for m in maps[2:7] for s in (m.mean((2, 3)), m.std((2, 3)))]
        return maps[-1].mean((2, 3)), torch.cat(parts, 1)


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, inputs: Picture) -> None:
        self._batches = iter(inputs[i : i + 8] for i in range(0, len(inputs), 8))

    def get_next(self) -> dict[str, Picture] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}


def _quantize(fp32: Path, int8: Path, inputs: Picture) -> None:
    prepared = fp32.with_name("prepared.onnx")
    quant_pre_process(str(fp32), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(int8),
        _Batches(inputs),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "Add", "Clip"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )


def session(
    name: str,
    size: int,
    calibrate: Picture | None = None,
    threads: int = 1,
    *,
    middle: bool = True,
) -> onnxruntime.InferenceSession:
    """Return pooled last features and statistics of the middle stages, in onnxruntime.

    Args:
        name: of the backbone.
        size: side of the input.
        calibrate: model inputs by which the ranges of an int8 version are set; None for fp32.
        threads: of the session.
        middle: whether to give the statistics, too.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.onnx"
        torch.onnx.export(
            _Features(name, middle).eval(),
            (torch.zeros((2, size, size, 3), dtype=torch.uint8),),
            str(path),
            input_names=["images"],
            output_names=["last", "middle"] if middle else ["last"],
            dynamic_axes={"images": {0: "N"}},
            dynamo=False,
        )
        if calibrate is not None:
            int8 = path.with_name("int8.onnx")
            _quantize(path, int8, calibrate)
            path = int8
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.x64quantprecision", "0")
        return onnxruntime.InferenceSession(str(path), options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--network", type=int, required=True)
    parser.add_argument("--view", nargs="+", required=True)
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--middle", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(2)
    cv2.setNumThreads(1)
    photos = Photos(asked.runs / "cache")
    folder = asked.runs / "features"
    folder.mkdir(exist_ok=True)
    for asked_view in asked.view:
        path = folder / f"lite{asked.network}{'q' if asked.int8 else ''}-{asked_view}.npz"
        kind, size = re.fullmatch(r"([a-z]+)(\d+)", asked_view).groups()  # type: ignore[union-attr]
        if path.exists():
            continue
        some = np.random.default_rng(0).permutation(len(photos))[:256] if asked.int8 else []
        sample = [x for i in some for x in view(photos.rgb(int(i)), kind, int(size))]
        network = session(
            f"tf_efficientnet_lite{asked.network}",
            int(size),
            np.stack(sample) if sample else None,
            middle=asked.middle,
        )
        started = time.monotonic()
        found: dict[str, list[NDArray[np.float32]]] = {"last": []}
        if asked.middle:
            found["middle"] = []
        for first in range(0, len(photos), BATCH):
            places = range(first, min(first + BATCH, len(photos)))
            views = [view(photos.rgb(i), kind, int(size)) for i in places]
            answers = network.run(None, {"images": np.stack([x for one in views for x in one])})
            for name, answer in zip(found, answers, strict=True):
                found[name].append(answer.reshape(len(views), -1, answer.shape[1]).mean(1))
        np.savez(
            path,
            row=photos.table.row.to_numpy(),
            **{name: np.concatenate(parts).astype(np.float16) for name, parts in found.items()},
        )
        print(path.name, f"{time.monotonic() - started:.0f} s", flush=True)
