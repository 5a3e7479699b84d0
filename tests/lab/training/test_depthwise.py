"""Depthwise convolutions compute in float32 where the rest of a network is in bfloat16."""

import copy

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from recognizer.lab.training.model import keep_depthwise_exact


@pytest.mark.parametrize("make", [nn.Conv2d, Conv2dSame])
def test_values_and_gradients_are_exact_under_autocast(make: type[nn.Conv2d]) -> None:
    torch.manual_seed(0)
    plain = make(32, 32, 5, 2, padding=2 if make is nn.Conv2d else 0, groups=32)
    exact = copy.deepcopy(plain)
    others = nn.Sequential(nn.Conv2d(8, 8, 3), exact)
    keep_depthwise_exact(others)
    assert type(others[0]) is nn.Conv2d
    images, found = torch.randn(2, 32, 15, 18), []
    for layer, is_half in ((plain, False), (exact, True)):
        x = images.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            y = layer(x)
        (y**2).sum().backward()
        found.append((y, x.grad, layer.weight.grad, layer.bias.grad))
    for expected, value in zip(*found, strict=True):
        torch.testing.assert_close(value, expected)
