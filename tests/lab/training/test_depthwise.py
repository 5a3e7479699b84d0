"""Depthwise convolutions with fast gradients: the same numbers as torch's."""

import copy

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from recognizer.lab.training.model import speed_up_gradients


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("make", [nn.Conv2d, Conv2dSame])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_values_and_gradients_are_those_of_torch(
    size: int, stride: int, make: type[nn.Conv2d], precision: torch.dtype
) -> None:
    torch.manual_seed(0)
    padding = size // 2 if make is nn.Conv2d else 0
    plain = make(32, 32, size, stride, padding=padding, groups=32)
    fast = copy.deepcopy(plain)
    speed_up_gradients(nn.Sequential(fast))
    assert type(fast) is not make
    others = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 7, groups=8), nn.Conv2d(8, 8, 1))
    speed_up_gradients(others)
    assert all(type(layer) is nn.Conv2d for layer in others)
    images = torch.randn(2, 32, 15, 18)
    outputs, gradients = [], []
    for layer, dtype in ((plain, torch.float32), (fast, precision)):
        x = images.clone().requires_grad_()
        with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
            y = layer(x)
        (y.float() ** 2).sum().backward()
        outputs.append(y.float())
        gradients.append((x.grad, layer.weight.grad, layer.bias.grad))
    tolerance = 1e-4 if precision is torch.float32 else 0.03
    torch.testing.assert_close(*outputs, atol=tolerance, rtol=tolerance)
    for expected, found in zip(*gradients, strict=True):
        largest = float(expected.abs().max())
        torch.testing.assert_close(found, expected, atol=tolerance * largest, rtol=tolerance)
