"""A bundle small enough to be built in a test, with a behaviour that can be told in a sentence.

Red pictures are worked ivory, green ones are ceramic, blue ones are something else.
"""

import hashlib
import json
from dataclasses import replace

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from recognizer.imaging import PREPROCESSING_VERSION
from recognizer.model.bundle import Bundle, parse_bundle, write_bundle
from recognizer.model.description import (
    BundleFamily,
    BundleLabel,
    Calibration,
    InputFormat,
    LabelEvidence,
    ModelFile,
    PhotoCounts,
    SecondLook,
)
from recognizer.taxonomy import Kind

SIZE = 32
LABELS = ("ivory_worked", "ivory_raw", "ceramic", "listing_other")
KINDS = ("product", "product", "lookalike", "other")
GAIN = 12.0


def tiny_model(bias=-3.0):
    """uint8 (N, 32, 32, 3) -> scores (N, 4), maps (N, 4, 4, 4), embedding (N, 3)."""
    # Rows: labels; columns: red, green, blue. Raw ivory is dark red: nothing says so for sure.
    weight = np.array([[1, -1, -1], [0.2, -1, -1], [-1, 1, -1], [-1, -1, 1]], np.float32)
    initializers = [
        numpy_helper.from_array((GAIN * weight / 255)[:, :, None, None], "weight"),
        numpy_helper.from_array(np.full(4, bias, np.float32), "bias"),
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
    float_, shapes = TensorProto.FLOAT, {"scores": 4, "maps": [4, 4, 4], "embedding": 3}
    inputs = [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", SIZE, SIZE, 3])]
    outputs = [
        helper.make_tensor_value_info(name, float_, ["N", *np.atleast_1d(shape).tolist()])
        for name, shape in shapes.items()
    ]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    return model


def with_evidence(bundle):
    """Return a bundle with evidence for worked ivory, and none for raw ivory."""
    evidence = LabelEvidence(test=PhotoCounts(photos=9, sources=2))
    first, *others = bundle.labels
    return replace(bundle, labels=(replace(first, evidence=evidence), *others))


def describe(model, folder):
    """The bundle that belongs to :func:`tiny_model`."""
    thresholds = {0.05: 0.4, 0.01: 0.5, 0.001: 0.9}
    return Bundle(
        path=folder,
        name="tiny",
        version=1,
        model=ModelFile(sha256=hashlib.sha256(model).hexdigest()),
        input=InputFormat(size=SIZE, preprocessing=PREPROCESSING_VERSION),
        activation="sigmoid",
        labels=tuple(
            BundleLabel(
                name=name,
                kind=Kind(kind),
                calibration=Calibration(1.0, 0.0),
                thresholds=thresholds if kind == "product" else {},
            )
            for name, kind in zip(LABELS, KINDS, strict=True)
        ),
        families=(
            BundleFamily(
                name="ivory", members=("ivory_worked", "ivory_raw"), thresholds=thresholds
            ),
        ),
        any_product_thresholds=thresholds,
        not_recognized=("rhino_horn",),
    )


def write_tiny_bundle(folder, model=None, **changes):
    """Write the bundle, with :func:`tiny_model` by default, into a folder and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    content = tiny_model().SerializeToString() if model is None else model
    (folder / "model.onnx").write_bytes(content)
    write_bundle(replace(describe(content, folder), **changes))
    (folder / "MODEL_CARD.md").write_text("# tiny\n")
    return folder


def write_second_look(folder, bias, weight=0.5, gate=0.25):
    """Write the bundle with a second look by the same network of another bias."""
    folder.mkdir(parents=True, exist_ok=True)
    content = tiny_model(bias).SerializeToString()
    (folder / "second_look.onnx").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    second = SecondLook(sha256=digest, size=SIZE, weight=weight, gate=gate)
    return write_tiny_bundle(folder, second_look=second)


def change_by_hand(folder, change):
    """Change the ``bundle.json`` in a folder, and leave its digest as it was."""
    path = folder / "bundle.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return folder


def edit_description(folder, change):
    """Change the ``bundle.json`` in a folder, and its digest to what it then must be."""

    def change_all(content):
        change(content)
        content["digest"] = parse_bundle(folder, content).digest

    return change_by_hand(folder, change_all)
