"""Make a network used to the rounding of int8 before it is exported.

Weights of 7 bits cannot overflow the 16-bit sums of CPUs without VNNI, so that a file needs no flag
and gives the same scores everywhere, but plainly converted they cost precision. A copy of the
network that rounds as the exported file will (weights per channel, activations at fixed ranges)
learns to answer as the original does (quantisation-aware training by self-distillation; gradients
pass straight through the rounding). It needs no labels, and a few hundred steps.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import register_parametrization, remove_parametrizations

from recognizer.errors import TrainingError

if TYPE_CHECKING:
    from recognizer.training.config import TrainingConfig
    from recognizer.training.model import ProductNetwork

WEIGHT_LEVELS = 64
"""Steps from zero to the largest weight of a channel: 7 bits with a sign."""

ACTIVATION_LEVELS = 255

Network = TypeVar("Network", bound=nn.Module)

_PAIRS = (
    {"conv_pw": "bn1", "conv_dw": "bn2", "conv_pwl": "bn3"},
    {"conv_dw": "bn1", "conv_pw": "bn2"},
    {"conv_stem": "bn1", "conv_head": "bn2"},
)
"""Convolutions and their normalisations in timm's EfficientNets: of an inverted residual, of a
separable convolution, of the network."""


def fuse(backbone: nn.Module) -> None:
    """Fold the batch normalisation of a timm EfficientNet into its convolutions, in place.

    The activations, which timm keeps in the normalisations, take their places.

    Raises:
        TrainingError: the backbone is not built so.
    """
    fused = 0
    for module in list(backbone.modules()):
        for conv, norm in normalisations(module).items():
            old: Any = getattr(module, norm)
            if isinstance(old, nn.BatchNorm2d):
                setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv).eval(), old.eval()))
                setattr(module, norm, old.act)
                fused += 1
    if not fused:
        raise TrainingError(
            f"{type(backbone).__name__} is no EfficientNet of timm with batch normalisation: "
            "rounding_steps = 0"
        )


def normalisations(module: nn.Module) -> dict[str, str]:
    """Return the names of a module's convolutions with those of their normalisations."""
    there = dict(module.named_children())
    return next((p for p in _PAIRS if all(n in there for n in (*p, *p.values()))), {})


class _Straight(torch.autograd.Function):
    """Round to one of 256 values; the gradient passes as if nothing had been rounded."""

    @staticmethod
    def forward(_: Any, x: torch.Tensor, scale: float, zero: float) -> torch.Tensor:
        levels = x.mul(1 / scale).add_(zero).round_().clamp_(0, ACTIVATION_LEVELS)
        return levels.sub_(zero).mul_(scale)

    @staticmethod
    def backward(_: Any, gradient: torch.Tensor) -> Any:
        return gradient, None, None


class RoundedWeight(nn.Module):
    """Rounds each output channel of a convolution's weights, symmetrically."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return rounded weights, (out, in, h, w); their gradient is that of the exact ones."""
        with torch.no_grad():
            largest = weight.abs().amax((1, 2, 3), keepdim=True)
            scale = largest.clamp(min=1e-12) / WEIGHT_LEVELS
            change = (weight / scale).round_() * scale - weight
        return weight + change


class _Range:
    """Collects the range of a tensor, then rounds to it."""

    def __init__(self) -> None:
        self.low = self.high = 0.0
        self.open = True

    def __call__(self, _: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
        if self.open:
            self.low = min(self.low, float(output.min()))
            self.high = max(self.high, float(output.max()))
            return output
        scale = max(self.high - self.low, 1e-6) / ACTIVATION_LEVELS
        rounded: torch.Tensor = _Straight.apply(output, scale, round(-self.low / scale))  # type: ignore[no-untyped-call]
        return rounded


@contextmanager
def rounded(backbone: nn.Module, calibrate: Callable[[], object]) -> Iterator[None]:
    """Let a fused EfficientNet compute as its int8 file will.

    Args:
        backbone: after :func:`fuse`.
        calibrate: runs it on images that show the range of each activation.
    """
    places: list[nn.Module] = []
    convolutions: list[nn.Module] = []
    for module in backbone.modules():
        pairs = normalisations(module)
        convolutions += [getattr(module, name) for name in pairs]
        places += [getattr(module, name) for name in pairs.values()]
        if getattr(module, "has_skip", False):
            places.append(module)
    ranges = [_Range() for _ in places]
    hooks = [p.register_forward_hook(r) for p, r in zip(places, ranges, strict=True)]
    with torch.no_grad():
        calibrate()
    for one in ranges:
        one.open = False
    for convolution in convolutions:
        register_parametrization(convolution, "weight", RoundedWeight())
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for convolution in convolutions:
            # Not the rounded weights: rounding them again must give the same.
            remove_parametrizations(convolution, "weight", leave_parametrized=False)


def learn_rounding(
    network: Network,
    answer: Callable[[Network, torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
    ranged: Iterable[torch.Tensor],
    batches: Iterable[torch.Tensor],
    *,
    steps: int,
    rate: float,
    on_step: Callable[[int, float], None] = lambda _, __: None,
) -> Network:
    """Return a copy of a network whose answers change less when it is rounded.

    Args:
        network: in evaluation mode, with a fused ``backbone``.
        answer: embedding (N, channels) and logits (N, labels) of a network for model inputs.
        ranged: model inputs by which the ranges of the activations are set.
        batches: model inputs to learn from, one for each step; no labels.
        steps: how many; the rate falls to zero over them.
        rate: of Adam, at first, as a share of the root mean square of each layer's weights.
        on_step: called with the number of a step, from 1, and its loss.
    """
    exact = network.requires_grad_(False)
    learner: Any = copy.deepcopy(exact)
    with rounded(learner.backbone, lambda: [answer(learner, inputs) for inputs in ranged]):
        # All of them: nearly all of the rounding's error comes from the first stages.
        weights = [weight.requires_grad_() for weight in learner.backbone.parameters()]
        # Each at a rate of its own size: the stem's are small, for it takes pixels of 0 to 255.
        sizes = [float(w.detach().square().mean().sqrt()) for w in weights]
        optimizer = torch.optim.Adam([{"params": [w]} for w in weights])
        for step, inputs in zip(range(1, steps + 1), batches, strict=False):
            factor = rate * 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))
            for group, size in zip(optimizer.param_groups, sizes, strict=True):
                group["lr"] = factor * max(size, 1e-6)
            optimizer.zero_grad(set_to_none=True)
            total = 0.0
            for part in torch.split(inputs, _TOGETHER):
                with torch.no_grad():
                    goal = answer(exact, part)
                loss = difference(answer(learner, part), goal) * (len(part) / len(inputs))
                loss.backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
            nn.utils.clip_grad_norm_(weights, _MAX_GRADIENT)
            optimizer.step()
            on_step(step, total)
    return learner.eval().requires_grad_(False)  # type: ignore[no-any-return]


def bear_rounding(
    network: ProductNetwork,
    config: TrainingConfig,
    inputs: NDArray[np.uint8],
    on_stage: Callable[[str], None],
) -> ProductNetwork:
    """Return a fused copy of a network that answers much the same when it is rounded.

    Args:
        network: in evaluation mode.
        config: of its run.
        inputs: model inputs of training photos, uint8, (N, size, size, 3).
        on_stage: called with what is being done.

    Raises:
        TrainingError: the network cannot be fused.
    """
    fused = copy.deepcopy(network)
    fuse(fused.backbone)
    rng = np.random.default_rng(config.seed)

    def draw() -> torch.Tensor:
        drawn = inputs[rng.integers(len(inputs), size=config.batch_size)]
        mirrored = rng.random(len(drawn)) < 0.5
        drawn[mirrored] = drawn[mirrored][:, :, ::-1]
        return torch.from_numpy(drawn)

    def answer(one: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        outputs = one(images)
        return outputs.embedding, outputs.logits

    def on_step(step: int, loss: float) -> None:
        if step % 20 == 0:
            on_stage(f"rounding: step {step} of {config.rounding_steps}, loss {loss:.4f}")

    return learn_rounding(
        fused,
        answer,
        torch.split(torch.from_numpy(inputs[:_RANGED]), _TOGETHER),
        (draw() for _ in range(config.rounding_steps)),
        steps=config.rounding_steps,
        rate=_RATE,
        on_step=on_step,
    )


_RATE = 1e-4
_RANGED = 256  # photos by which the ranges of the activations are set
_TOGETHER = 12  # images in a pass: of more, the maps leave the processor's cache
_MAX_GRADIENT = 1.0


def difference(
    found: tuple[torch.Tensor, torch.Tensor], goal: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """Return how far rounded answers are from exact ones.

    The squares of the embedding's errors, as a share of its variance, and the divergence of the
    labels' probabilities.

    Args:
        found: embedding (N, channels) and logits (N, labels), rounded.
        goal: the same, exact.
    """
    (embedding, logits), (exact, exact_logits) = found, goal
    missed = functional.mse_loss(embedding, exact) / exact.var(0).mean().clamp(min=1e-12)
    divergence = functional.kl_div(
        logits.log_softmax(1), exact_logits.log_softmax(1), log_target=True, reduction="batchmean"
    )
    return missed + divergence
