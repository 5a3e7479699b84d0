"""The widened first convolution: the same numbers, and nothing done where it does not fit."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import numpy_helper

from recognizer.lab.training.quantization import narrow_kernel, wide_kernel, widen_stem

OUTPUTS = 5


def _file(
    height: int, width: int, seed: int = 0, side: int = 3, pads: str = "0, 0, 1, 1", stride: int = 2
) -> onnx.ModelProto:
    """Return an int8 file that is a stem and nothing else."""
    drawn = np.random.default_rng(seed)
    scale = drawn.uniform(0.001, 0.01, OUTPUTS).astype(np.float32)
    constants: dict[str, NDArray[Any]] = {
        "one": np.array(1, np.float32),
        "zero": np.array(0, np.uint8),
        "weight": drawn.integers(-64, 65, (OUTPUTS, 3, side, side), np.int8),
        "weight_scale": scale,
        "weight_zero": np.zeros(OUTPUTS, np.int8),
        "bias": drawn.integers(-9999, 9999, OUTPUTS, np.int32),
        "bias_scale": scale,
        "bias_zero": np.zeros(OUTPUTS, np.int32),
        "scale": np.array(0.7, np.float32),
    }
    model = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["": 18]>
        stem (uint8[N, {height}, {width}, 3] images) => (float[N, 5, h, w] found) {{
            turned = Transpose <perm = [0, 3, 1, 2]> (images)
            pixels = DequantizeLinear (turned, one, zero)
            w = DequantizeLinear <axis = 0> (weight, weight_scale, weight_zero)
            b = DequantizeLinear <axis = 0> (bias, bias_scale, bias_zero)
            sums = Conv <
                pads = [{pads}], strides = [{stride}, {stride}], kernel_shape = [{side}, {side}]
            > (pixels, w, b)
            rounded = QuantizeLinear (sums, scale, zero)
            found = DequantizeLinear (rounded, scale, zero)
        }}
    """)
    model.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in constants.items())
    return model


def _run(model: onnx.ModelProto, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"images": images})[0])


@given(
    height=st.integers(1, 8).map(lambda n: 2 * n),
    width=st.integers(1, 6).map(lambda n: 4 * n),
    batch=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_the_numbers_stay_the_same(height: int, width: int, batch: int, seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (batch, height, width, 3), np.uint8)
    model = _file(height, width, seed=seed)
    before = _run(model, images)
    assert widen_stem(model)
    assert not widen_stem(model), "it is wide already"
    found = _run(model, images)
    assert before.shape == (batch, OUTPUTS, height // 2, width // 2)
    np.testing.assert_array_equal(found, before)
    # Of a few pixels all may be clipped to the same number.
    assert before.size < 100 or len(np.unique(before)) > 1


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(_file(8, 6), id="width"),
        pytest.param(_file(7, 8), id="height"),
        pytest.param(_file(8, 8, pads="1, 1, 1, 1"), id="pads"),
        pytest.param(_file(8, 8, stride=1), id="strides"),
        pytest.param(_file(8, 8, side=2), id="kernel"),
    ],
)
def test_other_stems_are_left_as_they_are(model: onnx.ModelProto) -> None:
    before = model.SerializeToString()
    assert not widen_stem(model)
    assert model.SerializeToString() == before


@given(outputs=st.integers(1, 5), channels=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_wide_kernel_is_made_narrow_again(outputs: int, channels: int, seed: int) -> None:
    kernel = np.random.default_rng(seed).integers(-64, 64, (outputs, channels, 3, 3), np.int8)
    assert (narrow_kernel(wide_kernel(kernel)) == kernel).all()
