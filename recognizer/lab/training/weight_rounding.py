"""Rounding the weights of an int8 file so that their errors cancel on real photos.

The steps are chosen by the second moments of each convolution's inputs: each weight in turn, the
others making up for its error (optimal brain quantisation: Frantar et al., GPTQ, 2022), until no
single step helps. What is left of the mean error goes into the bias.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from recognizer.model.session import session_options

Floats = NDArray[np.float64]

WEIGHT_BITS = 7
LEVELS, DEPTHWISE_LEVELS = 1 << (WEIGHT_BITS - 1), 127
"""Steps from zero to the largest weight of a channel: 7 bits cannot overflow the 16-bit sums of
CPUs without VNNI, and the products of depthwise convolutions are summed in 32 bits."""

_RANGE_PHOTOS = 16  # that give the ranges of tensors; 100 give no better ones
BATCH = 8  # photos in a pass
_PLACES = 24  # of a photo: neighbours are much alike
_DAMPING = 1e-3  # of the mean variance: a direction that no photo shows is not free
_MAX_INPUTS = 2304  # 256 channels of 3 x 3: a covariance of 42 MB
_SWEEPS = 3  # 20 find nothing better
_TOGETHER = 32  # weights whose sums over all others are one product of matrices
_MAX_STEPS = 1 << 30  # of a bias; channels without weights have one, too
_SMALLEST = 1e-12


def open_file(model: str | bytes) -> onnxruntime.InferenceSession:
    """Open a file, by its path or bytes, on one thread: more of them spin while they wait."""
    cpu = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(model, session_options(threads=1), providers=cpu)


class Convolution:
    """A convolution of the exact file, with the moments of its inputs.

    Each of its G groups has N kernels of K weights: G is 1, or the channels of a depthwise one.
    """

    def __init__(self, node: onnx.NodeProto, values: Mapping[str, onnx.TensorProto]) -> None:
        weight, *bias = (numpy_helper.to_array(values[name]) for name in node.input[1:])
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self.source, self.name = node.input[:2]
        self.shape, self.pads = weight.shape, attributes.get("pads", [0, 0, 0, 0])
        parts = attributes.get("group", 1)
        self.is_depthwise = parts > 1
        groups = len(weight) if self.is_depthwise else 1
        self.weight = weight.reshape(groups, len(weight) // groups, -1).astype(float)
        self.bias = bias[0].astype(float) if bias else None
        self.levels = DEPTHWISE_LEVELS if self.is_depthwise else LEVELS
        self.scale = np.maximum(np.abs(self.weight).max(2) / self.levels, _SMALLEST)
        size = self.weight.shape[2]
        self.can_be_fitted = size <= _MAX_INPUTS and parts in {1, len(weight)}
        self.count = 0
        if self.can_be_fitted:
            self.sums = np.zeros((groups, size))
            self.products = np.zeros((groups, size, size))

    def see(self, maps: NDArray[np.float32], drawn: np.random.Generator) -> None:
        """Add the moments of its inputs at some places of maps, (N, channels, height, width)."""
        widths = ((0, 0), (0, 0), self.pads[::2], self.pads[1::2])
        padded = np.pad(maps, widths) if any(self.pads) else maps
        windows, (n, channels) = sliding_window_view(padded, self.shape[2:], (2, 3)), maps.shape[:2]
        y, x = (drawn.integers(of, size=(n, _PLACES)) for of in windows.shape[2:4])
        seen = windows[np.arange(n)[:, None], :, y, x].reshape(n * _PLACES, channels, -1)
        if self.is_depthwise:
            seen = seen.transpose(1, 0, 2)  # (channels, places, K)
        seen = seen.reshape(len(self.sums), -1, self.sums.shape[1])
        seen = seen.astype(float)  # little of large products is left in the covariance
        self.sums += seen.sum(1)
        self.products += seen.transpose(0, 2, 1) @ seen
        self.count += seen.shape[1]

    def rounded(
        self, input_scale: float
    ) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.float32] | None]:
        """Return weights (channels, ...), the scale of each channel, and biases if it has some."""
        scale = self.scale
        if self.bias is not None:
            least = np.abs(self.bias).reshape(scale.shape) / (input_scale * _MAX_STEPS)
            scale = np.maximum(scale, least)
        mean = self.sums / self.count
        covariance = self.products / self.count - mean[:, :, None] * mean[:, None, :]
        steps = round_together(self.weight / scale[:, :, None], covariance, self.levels)
        bias = None
        if self.bias is not None:
            missing = (self.weight - steps * scale[:, :, None]) @ mean[:, :, None]
            bias = (self.bias + missing.reshape(-1)).astype(np.float32)
        return steps.reshape(self.shape).astype(np.int8), scale.reshape(-1).astype(np.float32), bias


def observe(
    exact: onnx.ModelProto,
    nodes: Sequence[onnx.NodeProto],
    tensors: Collection[str],
    inputs: NDArray[np.uint8],
) -> tuple[list[Convolution], dict[str, tuple[np.float32, np.float32]]]:
    """Return convolutions among nodes of an exact file, with moments, and the ranges of tensors.

    Left out are convolutions in several groups, unless they are depthwise, and those that sum over
    more inputs than a covariance has room for. ``tensors`` include what convolutions take.
    """
    values = {tensor.name: tensor for tensor in exact.graph.initializer}
    every = (Convolution(node, values) for node in nodes if node.op_type == "Conv")
    found = [own for own in every if own.can_be_fitted]
    model = onnx.load_model_from_string(exact.SerializeToString())
    names, drawn = sorted(tensors), np.random.default_rng(0)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    ranges = dict.fromkeys(names, (np.float32(np.inf), np.float32(-np.inf)))
    session = open_file(model.SerializeToString())
    for first in range(0, len(inputs), BATCH):
        images = inputs[first : first + BATCH]
        of = dict(zip(names, session.run(names, {"images": images}), strict=True))
        for own in found:
            own.see(of[own.source], drawn)
        if first < _RANGE_PHOTOS:
            for name, (lowest, highest) in ranges.items():
                ranges[name] = min(lowest, of[name].min()), max(highest, of[name].max())
    return found, ranges


def fit_weights(
    convolutions: Sequence[Convolution],
    rounded: onnx.ModelProto,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """Choose weights and biases for an int8 file, in place."""
    tensors = {tensor.name: tensor for tensor in rounded.graph.initializer}
    makers = {output: node for node in rounded.graph.node for output in node.output}
    nodes = (n for n in rounded.graph.node if n.op_type == "Conv" and n.input[1] in makers)
    takers = {makers[node.input[1]].input[0]: node for node in nodes}
    for done, own in enumerate(convolutions, 1):
        source, weight, *offset = (makers[n] for n in takers[f"{own.name}_quantized"].input)
        input_scale = float(numpy_helper.to_array(tensors[source.input[1]]))
        steps, scale, bias = own.rounded(input_scale)
        changed: dict[str, NDArray[Any]] = {weight.input[0]: steps, weight.input[1]: scale}
        if bias is not None:
            of_bias = scale * np.float32(input_scale)
            changed[offset[0].input[0]] = np.round(bias / of_bias).astype(np.int32)
            changed[offset[0].input[1]] = of_bias
        for name, array in changed.items():
            tensors[name].CopyFrom(numpy_helper.from_array(array, name))
        on_progress(done, len(convolutions))


def round_together(weights: Floats, covariance: Floats, levels: int) -> Floats:
    """Return whole numbers of which the weighted sums of inputs differ least from the exact ones.

    Weights are in steps, -levels to levels, (groups, N, K); the covariance of the K inputs of each
    group is (groups, K, K).
    """
    variance = np.einsum("gii->gi", covariance)
    damping = _DAMPING * variance.mean(1) + _SMALLEST
    damped = covariance + damping[:, None, None] * np.eye(covariance.shape[1])
    # Those of the most varied inputs come first: the later ones make up for their errors.
    order = np.argsort(-variance.mean(0), kind="stable")
    damped, weights = damped[:, order][:, :, order], weights.transpose(0, 2, 1)[:, order]
    # Row i of the lower factor: what the errors of the earlier weights add up to for that of i.
    factor = np.linalg.cholesky(damped[:, ::-1, ::-1])[:, ::-1, ::-1].transpose(0, 2, 1)
    missing, nearest = np.zeros_like(weights), weights - np.clip(np.round(weights), -levels, levels)
    _round_in_turn(weights, missing, factor, levels)
    errors = [np.einsum("gkn,gkn->gn", damped @ some, some) for some in (missing, nearest)]
    is_worse = errors[0] > errors[1]
    missing = np.where(is_worse[:, None], nearest, missing)
    for _ in range(_SWEEPS):
        _round_in_turn(weights, missing, damped, levels)
    return np.round(weights - missing).transpose(0, 2, 1)[:, :, np.argsort(order)]


def _round_in_turn(weights: Floats, missing: Floats, matrix: Floats, levels: int) -> None:
    """Round the K weights, (groups, K, N), one after the other; update what is ``missing``.

    A row of the matrix, over its diagonal: how far a weight makes up for what the others miss.
    """
    others = matrix / np.einsum("gii->gi", matrix)[:, :, None] - np.eye(matrix.shape[1])
    for first in range(0, weights.shape[1], _TOGETHER):
        rows = slice(first, first + _TOGETHER)
        wanted = weights[:, rows] + others[:, rows] @ missing
        change = np.zeros_like(wanted)  # since then
        for i in range(wanted.shape[1]):
            one = wanted[:, i] + (others[:, first + i, None, rows] @ change)[:, 0]
            steps = np.minimum(np.maximum(np.rint(one), -levels), levels)
            error = weights[:, first + i] - steps
            change[:, i] = error - missing[:, first + i]
            missing[:, first + i] = error
