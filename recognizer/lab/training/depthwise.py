"""Depthwise convolutions with gradients that a CPU computes as fast as their forward pass.

oneDNN's gradients of 5x5 kernels, and in bfloat16 those of strides of 2, take 30 to 70 times as
long. The gradient of a 5x5 kernel comes from those of four 3x3 kernels that see shifted inputs,
that of the input from a convolution with the kernel turned around.
"""

from typing import Any, cast

import torch
from timm.layers import pad_same
from timm.layers.conv2d_same import Conv2dSame
from torch import nn
from torch.nn import functional, grad

_torch: Any = grad  # which has no types


def speed_up_gradients(module: nn.Module) -> None:
    """Give the depthwise convolutions of 3x3 or 5x5 below a module fast gradients, in place."""
    for child in module.modules():
        if (
            isinstance(child, nn.Conv2d)
            and type(child) in {nn.Conv2d, Conv2dSame}
            and child.groups == child.in_channels == child.out_channels > 1
            and child.kernel_size in {(3, 3), (5, 5)}
            and child.dilation == (1, 1)
        ):
            is_same = type(child) is Conv2dSame
            child.__class__ = _Depthwise
            cast("_Depthwise", child).is_same = is_same


class _Depthwise(nn.Conv2d):
    is_same: bool  # whether the padding is TensorFlow's, which depends on the size of the input

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.is_same:
            x = pad_same(x, list(self.kernel_size), list(self.stride))
        stride, padding = self.stride[0], cast("int", self.padding[0])
        if not torch.is_grad_enabled() or x.device.type != "cpu":
            return functional.conv2d(x, self.weight, self.bias, stride, padding, groups=self.groups)
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        bias = None if self.bias is None else self.bias.to(kind)
        found: torch.Tensor = _Convolve.apply(  # type: ignore[no-untyped-call]
            x.to(kind), self.weight.to(kind), bias, stride, padding
        )
        return found


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: int,
        padding: int,
    ) -> torch.Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(x, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        x, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = _input_gradient(x, weight, gradient, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(x, weight, gradient, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.float().sum((0, 2, 3)).to(gradient.dtype)
        return of_x, of_weight, of_bias, None, None


def _input_gradient(
    x: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor, stride: int, padding: int
) -> torch.Tensor:
    found: torch.Tensor
    if stride == 1:
        turned, border = weight.flip(2, 3), weight.shape[-1] - 1 - padding
        return functional.conv2d(gradient, turned, None, 1, border, groups=len(weight))
    found = _torch.conv2d_input(
        x.shape, weight.float(), gradient.float(), stride, padding, groups=len(weight)
    )
    return found.to(x.dtype)


def _weight_gradient(
    x: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor, stride: int, padding: int
) -> torch.Tensor:
    groups, found = len(weight), torch.empty_like(weight)
    if weight.shape[-1] == 3:
        found[:] = _torch.conv2d_weight(x, weight.shape, gradient, stride, padding, groups=groups)
        return found
    padded = functional.pad(x, [padding] * 4)
    high, wide = (stride * (side - 1) + 3 for side in gradient.shape[2:])
    for top in (0, 2):
        for left in (0, 2):
            window = padded[:, :, top : top + high, left : left + wide]
            window = window.contiguous(memory_format=torch.channels_last)
            part = found[:, :, top : top + 3, left : left + 3]
            part[:] = _torch.conv2d_weight(window, part.shape, gradient, stride, groups=groups)
    return found
