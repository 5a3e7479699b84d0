"""Int8 files: near the exact ones, and on pixels that the network reduces itself."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recognizer.lab.training.model import build_network
from recognizer.lab.training.onnx_export import export_fp32
from recognizer.lab.training.quantization import narrow_kernel, quantize, run_file
from tests.lab.training.conftest import small_config
from tests.pictures import scene


@pytest.mark.parametrize("reduced", [0, 48])
def test_the_int8_file_is_near_the_exact_one(tmp_path: Path, reduced: int) -> None:
    photos = np.stack([np.asarray(scene(n).resize((64, 64)))[..., :3] for n in range(16)])
    network = build_network(small_config(input_size=64, reduced_size=reduced), 3).eval()
    with torch.no_grad():
        network.head.weight.normal_(generator=torch.manual_seed(0))
    exact, rounded = tmp_path / "exact.onnx", tmp_path / "rounded.onnx"
    export_fp32(network, 64, exact)
    quantize(exact, rounded, photos[:10])
    first = onnx.load(str(rounded)).graph.node[0]
    assert first.op_type == ("Resize" if reduced else first.op_type)
    maps = [run_file(path, photos[10:], "maps") for path in (exact, rounded)]
    with torch.no_grad():
        outputs = network(torch.from_numpy(photos[10:]))
    np.testing.assert_allclose(maps[0], outputs.maps.numpy(), atol=1e-3)
    assert maps[0].shape[2:] == (2, 2), "of the whole input, reduced or not"
    np.testing.assert_allclose(maps[0].mean((2, 3)), outputs.logits.numpy(), atol=1e-3)
    assert np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] > 0.9


@given(outputs=st.integers(1, 5), channels=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_kernel_of_four_pixels_is_made_narrow(outputs: int, channels: int, seed: int) -> None:
    kernel = np.random.default_rng(seed).integers(-64, 64, (outputs, channels, 3, 3), np.int8)
    wide = np.zeros((2, outputs, 4, channels, 3, 2), kernel.dtype)
    for place in range(2):
        for column in range(3):
            block, pixel = divmod(2 * place + column, 4)
            wide[place, :, pixel, :, :, block] = kernel[:, :, :, column]
    found = narrow_kernel(wide.reshape(2 * outputs, 4 * channels, 3, 2))
    np.testing.assert_array_equal(found, kernel)
