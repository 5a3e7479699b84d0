"""A bundle small enough to be built in a test, with a behaviour that can be told in a sentence.

Red pictures are worked ivory, green ones are ceramic, blue ones are something else.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 32
LABELS = ("ivory_worked", "ivory_raw", "ceramic", "listing_other")
KINDS = ("product", "product", "lookalike", "other")
GAIN = 12.0


def tiny_model() -> onnx.ModelProto:
    """uint8 (N, 32, 32, 3) -> scores (N, 4), maps (N, 4, 4, 4), embedding (N, 3)."""
    # Rows: labels; columns: red, green, blue. Raw ivory is dark red: nothing says so for sure.
    weight = np.array([[1, -1, -1], [0.2, -1, -1], [-1, 1, -1], [-1, -1, 1]], np.float32)
    initializers = [
        numpy_helper.from_array((GAIN * weight / 255)[:, :, None, None], "weight"),
        numpy_helper.from_array(np.full(4, -3.0, np.float32), "bias"),
        numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
    ]
    nodes = [
        helper.make_node("Transpose", ["images"], ["chw"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["chw"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("AveragePool", ["pixels"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Conv", ["cells", "weight", "bias"], ["maps"]),
        helper.make_node("ReduceMean", ["maps", "axes"], ["scores"], keepdims=0),
        helper.make_node("ReduceMean", ["cells", "axes"], ["embedding"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 4]),
            helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["N", 4, 4, 4]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 3]),
        ],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    return model


def describe(model: bytes) -> dict[str, Any]:
    """The ``bundle.json`` that belongs to :func:`tiny_model`."""
    thresholds = {"0.05": 0.4, "0.01": 0.5, "0.001": 0.9}
    return {
        "schema": 1,
        "name": "tiny",
        "version": 1,
        "model": {"sha256": hashlib.sha256(model).hexdigest()},
        "input": {"size": SIZE, "preprocessing": 1},
        "activation": "sigmoid",
        "labels": [
            {
                "name": name,
                "kind": kind,
                "calibration": {"slope": 1.0, "intercept": 0.0},
                "thresholds": thresholds if kind == "product" else {},
                "evidence": {},
            }
            for name, kind in zip(LABELS, KINDS, strict=True)
        ],
        "families": [
            {
                "name": "ivory",
                "members": ["ivory_worked", "ivory_raw"],
                "thresholds": thresholds,
                "evidence": {},
            }
        ],
        "photo_thresholds": thresholds,
        "not_recognized": ["rhino_horn"],
    }


def write_tiny_bundle(folder: Path) -> Path:
    """Write the bundle into ``folder`` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    model = tiny_model().SerializeToString()
    (folder / "model.onnx").write_bytes(model)
    (folder / "bundle.json").write_text(json.dumps(describe(model)))
    (folder / "MODEL_CARD.md").write_text("# tiny\n")
    return folder
