"""Depthwise convolutions whose gradients a CPU computes as fast as their forward pass.

oneDNN's bfloat16 gradients of 5x5 depthwise kernels and of strides of 2 are so slow that they take
three quarters of a training step. ``depthwise.c`` computes them instead; it is compiled at first
use with the C compiler of the machine (AVX-512 with bfloat16 is needed; ``available`` says
whether).
"""

from __future__ import annotations

import ctypes
import functools
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
from timm.layers import pad_same
from timm.layers.conv2d_same import Conv2dSame
from torch import nn
from torch.nn import functional

SOURCE = Path(__file__).with_suffix(".c")


@functools.cache
def library() -> ctypes.CDLL:
    """Compile and load the C code."""
    out = Path(tempfile.mkdtemp()) / "depthwise.so"
    command = ["gcc", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", str(SOURCE)]
    subprocess.run([*command, "-o", str(out)], check=True)  # noqa: S603 - all of it is ours
    return ctypes.CDLL(str(out))


def available() -> bool:
    """Whether this CPU has the instructions that the C code uses."""
    cpu = Path("/proc/cpuinfo")
    return cpu.exists() and "avx512_bf16" in cpu.read_text()


def _pointer(tensor: torch.Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: Any, stride: int, padding: int
    ) -> Any:
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding, ctx.has_bias = stride, padding, bias is not None
        return functional.conv2d(x, weight, bias, stride, padding, groups=weight.shape[0])

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        n, c, h, w = x.shape
        ho, wo = gradient.shape[2:]
        k, stride, parts = weight.shape[-1], ctx.stride, torch.get_num_threads()
        shape = (n, h, w, c, ho, wo, k, stride, ctx.padding, parts)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[1]:
            sums = torch.zeros(parts, k * k, c)
            library().depthwise_weight_gradient(
                _pointer(x), _pointer(gradient), _pointer(sums), *shape
            )
            of_weight = sums.sum(0).T.reshape(c, 1, k, k).to(weight.dtype)
        if ctx.needs_input_grad[0]:
            if stride == 1:
                of_x = functional.conv2d(
                    gradient, weight.flip(2, 3), None, 1, k - 1 - ctx.padding, groups=c
                )
            else:
                of_x = torch.empty_like(x)
                taps = weight.reshape(c, k * k).T.contiguous().float()
                library().depthwise_input_gradient(
                    _pointer(gradient), _pointer(taps), _pointer(of_x), *shape
                )
        if ctx.has_bias and ctx.needs_input_grad[2]:
            of_bias = gradient.float().sum((0, 2, 3))
        return of_x, of_weight, of_bias, None, None


class Depthwise(nn.Conv2d):
    """A depthwise convolution with fast gradients in bfloat16; any other falls back to torch."""

    same = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve (N, channels, h, w)."""
        if self.same:  # TensorFlow's padding, which depends on the size of the input
            x = pad_same(x, list(self.kernel_size), list(self.stride), list(self.dilation))
        if not torch.is_autocast_enabled("cpu") or not torch.is_grad_enabled():
            return super().forward(x)
        bias = None if self.bias is None else self.bias.bfloat16()
        stride, padding = self.stride[0], self.padding[0]
        return _Depthwise.apply(x.bfloat16(), self.weight.bfloat16(), bias, stride, padding)


def replace_depthwise(module: nn.Module) -> None:
    """Make every depthwise convolution below a module fast, in place."""
    for child in module.modules():
        if (
            type(child) in {nn.Conv2d, Conv2dSame}
            and child.groups == child.in_channels == child.out_channels
            and child.in_channels % 16 == 0
            and child.kernel_size in {(3, 3), (5, 5)}
            and isinstance(child.padding, tuple)
            and child.padding[0] == child.padding[1]
        ):
            same = type(child) is Conv2dSame
            child.__class__ = Depthwise
            child.same = same
