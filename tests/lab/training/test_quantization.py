"""Weights of int8 files whose errors cancel on photos; the widened first convolution."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from recognizer.lab.training import quantization
from recognizer.lab.training.onnx_export import export_fp32
from recognizer.lab.training.quantization import quantize, run_file, widen_stem
from recognizer.lab.training.weight_rounding import (
    DEPTHWISE_LEVELS,
    LEVELS,
    fit_weights,
    open_file,
    round_together,
)
from tests.pictures import scene


@given(
    groups=st.integers(1, 3),
    kernels=st.integers(1, 4),
    size=st.integers(1, 12),
    alike=st.floats(0, 0.99),
    seed=st.integers(0, 999),
)
def test_sums_are_nearer_than_with_the_nearest_steps(
    groups: int, kernels: int, size: int, alike: float, seed: int
) -> None:
    weights = np.random.default_rng(seed).uniform(-5, 5, (groups, kernels, size))
    covariance = np.full((groups, size, size), alike) + (1 - alike) * np.eye(size)
    found = round_together(weights, covariance, 5)
    np.testing.assert_array_equal(found, np.round(found))
    assert np.abs(found).max() <= 5

    def error(steps: NDArray[np.float64]) -> NDArray[np.float64]:
        away = weights - steps
        return np.einsum("gnk,gkl,gnl->gn", away, covariance, away)

    # Each kernel's, but for what the damping of the covariance allows.
    assert (error(found) <= error(np.round(weights)) + 1e-3 * size).all()


def test_inputs_that_never_vary_do_no_harm() -> None:
    found = round_together(np.full((2, 1, 3), 2.4), np.zeros((2, 3, 3)), 9)
    np.testing.assert_array_equal(found, np.full((2, 1, 3), 2))


class _Network(nn.Module):
    """Convolutions of all kinds, on pixels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2),
            nn.ReLU6(),
            nn.Conv2d(8, 8, 3, 1, 1, groups=8),
            nn.ReLU6(),
            nn.Conv2d(8, 12, 1, bias=False),
            nn.Conv2d(12, 12, 3, 1, 1, groups=4),
            nn.ReLU(),
            nn.Conv2d(12, 6, 3, 2, 1),
        )
        with torch.no_grad():
            self.layers[0].weight.mul_(0.05)
            self.layers[2].weight[3] = 0  # a dead channel, whose bias is far more than one step
            self.layers[2].bias[3] = 4.0
        self.head = nn.Conv2d(6, 2, 1)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x = self.layers(images.permute(0, 3, 1, 2).float())
        maps = self.head(x)
        return maps.mean((2, 3)), maps, x.mean((2, 3))


def test_weights_are_fitted_to_photos_and_keep_to_the_bits_that_no_cpu_overflows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = np.stack([np.asarray(scene(n).resize((32, 32)))[..., :3] for n in range(16)])
    shown, unseen = photos[:10], photos[10:]
    exact, fitted, nearest = (tmp_path / f"{name}.onnx" for name in ("exact", "fitted", "nearest"))
    export_fp32(_Network(), 32, exact)
    changed = {}

    def fit(convolutions: Any, rounded: onnx.ModelProto, *rest: Any) -> None:
        onnx.save(rounded, str(nearest))
        before = {t.name: t.SerializeToString() for t in rounded.graph.initializer}
        fit_weights(convolutions, rounded, *rest)
        for tensor in rounded.graph.initializer:
            if tensor.SerializeToString() != before[tensor.name]:
                steps = numpy_helper.to_array(tensor).astype(float)
                changed[tensor.name] = int(np.abs(steps).max())

    monkeypatch.setattr(quantization, "fit_weights", fit)
    quantize(exact, fitted, shown)

    exactly, *others = (run_file(path, unseen, "embedding") for path in (exact, fitted, nearest))
    away = [np.square(other - exactly).mean() for other in others]
    assert away[0] < 0.9 * away[1]
    # The convolution of four groups, number 5, is left as it is.
    largest = {n: changed[f"network.layers.{n}.weight_quantized"] for n in (0, 2, 4, 7)}
    assert "network.layers.5.weight_quantized" not in changed
    assert largest.pop(2) == DEPTHWISE_LEVELS
    assert max(largest.values()) <= LEVELS


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
    return open_file(model.SerializeToString()).run(["found"], {"images": images})[0]


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


OTHERS = ({"width": 6}, {"height": 7}, {"pads": "1, 1, 1, 1"}, {"stride": 1}, {"side": 2})


@pytest.mark.parametrize("how", OTHERS, ids=str)
def test_other_stems_are_left_as_they_are(how: dict[str, Any]) -> None:
    model = _file(**{"height": 8, "width": 8, **how})
    before = model.SerializeToString()
    assert not widen_stem(model)
    assert model.SerializeToString() == before


@given(outputs=st.integers(1, 5), channels=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_wide_kernel_is_made_narrow_again(outputs: int, channels: int, seed: int) -> None:
    kernel = np.random.default_rng(seed).integers(-64, 64, (outputs, channels, 3, 3), np.int8)
    assert (quantization.narrow_kernel(quantization.wide_kernel(kernel)) == kernel).all()
