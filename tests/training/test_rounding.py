"""Networks that are used to rounding: fused, rounded, and taught to answer as before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray

from recognizer.errors import TrainingError
from recognizer.training.config import TrainingConfig
from recognizer.training.model import Normalization, ProductNetwork
from recognizer.training.rounding import WEIGHT_LEVELS, bear_rounding, fuse, rounded


def _network() -> ProductNetwork:
    torch.manual_seed(0)
    backbone: Any = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    # Two stages are enough, and quick.
    backbone.blocks = backbone.blocks[:2]
    backbone.conv_head = torch.nn.Conv2d(24, 32, 1, bias=False)
    backbone.bn2 = timm.layers.BatchNormAct2d(32, act_layer=torch.nn.ReLU6)
    network = ProductNetwork(backbone, 32, 3, 0.0, Normalization((0.5,) * 3, (0.5,) * 3))
    torch.nn.init.normal_(network.head.weight, std=0.1)
    return network.eval()


@pytest.fixture(scope="module")
def inputs() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)


@torch.no_grad()
def _embedding(network: ProductNetwork, inputs: NDArray[np.uint8]) -> torch.Tensor:
    return network(torch.from_numpy(inputs)).embedding


def test_a_fused_network_answers_the_same(inputs: NDArray[np.uint8]) -> None:
    network = _network()
    before = _embedding(network, inputs)
    fuse(network.backbone)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())
    torch.testing.assert_close(_embedding(network, inputs), before, rtol=1e-3, atol=1e-5)


def test_other_networks_are_refused() -> None:
    with pytest.raises(TrainingError, match="rounding_steps = 0"):
        fuse(torch.nn.Sequential(torch.nn.Linear(2, 2)))


def test_weights_and_activations_are_rounded_and_restored(inputs: NDArray[np.uint8]) -> None:
    network = _network()
    fuse(network.backbone)
    before = network.backbone.conv_stem.weight.detach().clone()
    exact = _embedding(network, inputs)
    with torch.no_grad(), rounded(network.backbone, lambda: _embedding(network, inputs)):
        weight = network.backbone.conv_stem.weight[0]
        steps = weight / weight.abs().max() * WEIGHT_LEVELS
        torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
        away = (_embedding(network, inputs) - exact).abs().max()
    assert 0 < away < 0.2 * exact.abs().max()
    torch.testing.assert_close(network.backbone.conv_stem.weight, before)
    torch.testing.assert_close(_embedding(network, inputs), exact)


def test_a_network_learns_to_bear_rounding(inputs: NDArray[np.uint8]) -> None:
    network, said = _network(), list[str]()
    config = TrainingConfig(rounding_steps=40, batch_size=4)
    taught = bear_rounding(network, config, inputs, said.append)
    losses = [float(words.split()[-1]) for words in said]
    assert losses[-1] < losses[0]
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in taught.modules())
    away = _embedding(taught, inputs) - _embedding(network, inputs)
    assert 0 < away.abs().max() < 0.1
