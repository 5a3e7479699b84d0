import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper
from scipy.special import expit, softmax

from recognizer.lab.enrolment.onnx_head import Head, add_head
from tests.tiny import SIZE, tiny_model

HEAD = Head(np.array([0.5, -1.0, 2.0], np.float32), 0.25)


def maps_of(model):
    images = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (maps,) = session.run(["maps"], {"images": images})
    return maps


def test_maps_of_a_softmax_say_the_same_to_a_sigmoid():
    model = tiny_model().SerializeToString()
    after = maps_of(add_head(model, HEAD, labels=4, softmax=True))[:, :4]
    assert np.allclose(expit(after), softmax(maps_of(model), axis=1), atol=2e-6)


SHAPELESS = helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda model: setattr(model.graph.node[-1], "op_type", "ReduceMax"),
            "ReduceMax, not from pooled",
        ),
        (lambda model: setattr(model.opset_import[0], "version", 11), "opset 11"),
        (lambda model: model.graph.output[0].CopyFrom(SHAPELESS), "no output 'scores' of a shape"),
        (lambda model: model.ClearField("graph"), "no output 'scores'"),
    ],
)
def test_another_form_is_refused(change, words):
    model = tiny_model()
    change(model)
    with pytest.raises(ValueError, match=words):
        add_head(model.SerializeToString(), HEAD, labels=4, softmax=False)
    for data in (b"", b"<html>", b"\xff" * 40):
        with pytest.raises(ValueError):  # noqa: PT011 - whatever the words
            add_head(data, HEAD, labels=4, softmax=False)
