import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state

from recognizer.engine import GPU_BATCH, Recognizer
from recognizer.errors import BundleSchemaError, ProviderError
from recognizer.model.description import InputFormat
from recognizer.model.session import PROVIDERS
from recognizer.policy.values import Decision, Policy
from recognizer.status import Reason, Status
from recognizer.taxonomy import Kind
from tests.conftest import encoded, picture
from tests.tiny import KINDS, LABELS, SIZE, describe, tiny_model, write_tiny_bundle


@pytest.mark.parametrize("provider", [*PROVIDERS][1:])
def test_a_missing_provider_is_reported_with_its_package(tiny_bundle, monkeypatch, provider):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    words = f"{provider}.*install {re.escape(PROVIDERS[provider][1])} in its place.* --provider cpu"
    with pytest.raises(ProviderError, match=words):
        Recognizer.load(tiny_bundle, provider=provider)


def test_a_provider_that_does_not_start_is_reported(tiny_bundle, monkeypatch):
    """onnxruntime lists a provider that it then silently replaces (no driver, for one)."""
    available = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    make = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda model, options, providers: make(model, options, ["CPUExecutionProvider"]),
    )
    with pytest.raises(ProviderError, match="would use"):
        Recognizer.load(tiny_bundle, provider="cuda")


def test_the_path_of_a_gpu_gives_the_same_scores_in_its_own_batches(tiny_bundle, monkeypatch):
    """The CPU takes the place of the GPU; all else is what a scan with --provider cuda runs."""
    cpu, gpu = (Recognizer.load(tiny_bundle, threads=1) for _ in range(2))
    gpu.provider = "cuda"
    sizes = []
    for session in (gpu._session, cpu._session):
        monkeypatch.setattr(
            session,
            "run",
            lambda names, inputs, run=session.run: (
                sizes.append(len(inputs["images"])),
                run(names, inputs),
            )[1],
        )
    images = [cpu.load_image(picture(c, seed=i)) for i in range(25) for c in ("red", "blue")]
    outputs = ["scores", "maps", "embedding"]
    found, expected = (one.score_loaded(images, outputs) for one in (gpu, cpu))
    assert sizes == [GPU_BATCH, 50 - GPU_BATCH, *[1] * 50]
    for one, other in zip(found, expected, strict=True):
        assert one.prediction.scores == pytest.approx(other.prediction.scores, abs=1e-6)
        assert gpu.regions(one, "ivory_worked") == cpu.regions(other, "ivory_worked")
        for name in outputs:
            assert one.outputs[name] == pytest.approx(other.outputs[name], abs=1e-5)


# In one byte, or in more than it needs: how protobuf may write the length of a key.
@pytest.mark.parametrize("length", [b"\x08", b"\x88\0", b"\x88\x80\0"])
@pytest.mark.parametrize("is_ort", [False, True])
def test_no_session_is_made_of_what_is_not_verified(tmp_path, monkeypatch, length, *, is_ort):
    made = Mock(side_effect=AssertionError("a session of a model that was not verified"))
    monkeypatch.setattr(onnxruntime, "InferenceSession", made)
    onnx.save(
        tiny_model(), tmp_path / "m", save_as_external_data=True, location="w", size_threshold=0
    )
    model = (tmp_path / "m").read_bytes()
    assert (tmp_path / "w").exists()
    assert b"\x08location" in model
    model = model.replace(b"\x08location", length + b"location")
    words = "not an ONNX model" if is_ort else "other files"
    data = b"\x1c\0\0\0ORTM" + bytes(50) if is_ort else model
    with pytest.raises(BundleSchemaError, match=words):
        Recognizer.load(write_tiny_bundle(tmp_path, data))


@pytest.mark.parametrize("spoil", ["type", "name", "batch", "shape", "operator"])
def test_a_model_of_another_interface(spoil, tmp_path):
    model = tiny_model()
    images, nodes = model.graph.input[0], model.graph.node
    match spoil:
        case "type":
            images.type.tensor_type.elem_type = TensorProto.FLOAT
        case "name":
            images.name = nodes[0].input[0] = "pictures"
        case "batch":
            images.type.tensor_type.shape.dim[0].dim_value = 1
        case "shape":  # scores of no labels
            nodes[4].input[1] = "all"
            every = numpy_helper.from_array(np.array([1, 2, 3], np.int64), "all")
            model.graph.initializer.append(every)
            del model.graph.output[0].type.tensor_type.shape.dim[1]
        case "operator":
            nodes[1].op_type = "Teleport"
    with pytest.raises(BundleSchemaError):
        Recognizer.load(write_tiny_bundle(tmp_path, model.SerializeToString()))


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": describe(b"", Path()).labels[:3]},
        {"input": InputFormat(size=2 * SIZE, preprocessing=1)},
    ],
)
def test_a_description_of_another_model(changes, tmp_path):
    with pytest.raises(BundleSchemaError):
        Recognizer.load(write_tiny_bundle(tmp_path, **changes))


def test_a_bundle_without_products_predicts(tmp_path):
    others = tuple(replace(one, kind=Kind.OTHER) for one in describe(b"", Path()).labels)
    plain = Recognizer.load(write_tiny_bundle(tmp_path, labels=others, families=()))
    assert plain.predict(encoded(picture())).families == {}
    assert plain.explain(encoded(picture())).prediction.status is Status.OK
    assert len(KINDS) == len(LABELS)


ONNXRUNTIME_ERRORS = [
    value
    for value in vars(onnxruntime_pybind11_state).values()
    if isinstance(value, type) and issubclass(value, Exception)
]
NO_MEMORY = onnxruntime_pybind11_state.Fail("... Failed to allocate memory for requested buffer")
UNCHANGED = [(kind("as it is"), kind, "^as it is$") for kind in (MemoryError, TypeError, OSError)]
OF_A_PASS = [
    (kind("CUDA out of memory"), ProviderError, "'cpu' failed: CUDA out of memory")
    for kind in (RuntimeError, *ONNXRUNTIME_ERRORS)
]
OF_LOADING = [(kind("no"), BundleSchemaError, "cannot load") for kind in ONNXRUNTIME_ERRORS]


@pytest.mark.parametrize(
    ("is_loading", "error", "expected", "words"),
    [
        *((True, *case) for case in (*OF_LOADING, *UNCHANGED)),
        *((False, *case) for case in (*OF_A_PASS, *UNCHANGED, (NO_MEMORY, MemoryError, "onnx"))),
    ],
)
def test_no_error_of_onnxruntime_escapes_and_defects_stay_what_they_are(
    is_loading, error, expected, words, tiny_bundle, monkeypatch
):
    refuse = Mock(side_effect=error)
    if is_loading:
        monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
        with pytest.raises(expected, match=words):
            Recognizer.load(tiny_bundle)
        return
    engine = Recognizer.load(tiny_bundle)
    monkeypatch.setattr(engine, "_session", SimpleNamespace(run=refuse))
    for call in (engine.predict, engine.embed, engine.explain):
        with pytest.raises(expected, match=words):
            call(encoded(picture()))


def test_a_score_that_is_no_number_is_never_clear(tmp_path):
    model = tiny_model()
    for tensor in model.graph.initializer:
        if tensor.name == "bias":
            tensor.CopyFrom(numpy_helper.from_array(np.full(4, np.nan, np.float32), "bias"))
    engine = Recognizer.load(write_tiny_bundle(tmp_path, model.SerializeToString()))
    prediction = engine.predict(encoded(picture()))
    assert (prediction.status, prediction.reason) == (Status.FAILED, Reason.INTERNAL_ERROR)
    assert prediction.scores == {}
    assert engine.decide(prediction, Policy()).decision is Decision.UNSCORED
    assert engine.explain(encoded(picture())).regions == ()
