"""Rounding the weights of an int8 file so that their errors cancel on real photos.

The steps are chosen by the second moments of each convolution's inputs: each weight in turn, the
others making up for its error (optimal brain quantisation: Frantar et al., GPTQ, 2022), until no
single step helps. What is left of the mean error goes into the bias.
"""

from collections.abc import Callable, Iterator, Sequence
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

_PLACES = 24  # of a photo: neighbours are much alike
_DAMPING = 1e-3  # of the mean variance: a direction that no photo shows is not free
_MAX_INPUTS = 2304  # 256 channels of 3 x 3: a covariance of 42 MB
_SWEEPS = 3  # 20 find nothing better
_MAX_STEPS = 1 << 30  # of a bias; channels without weights have one, too
_SMALLEST = 1e-12


def batches(inputs: NDArray[np.uint8]) -> Iterator[dict[str, NDArray[np.uint8]]]:
    """Yield model inputs, (N, size, size, 3), in batches, by name as a session takes them."""
    return ({"images": inputs[i : i + 8]} for i in range(0, len(inputs), 8))


def run_model(
    model: str | bytes, outputs: Sequence[str], inputs: NDArray[np.uint8]
) -> Iterator[list[NDArray[np.float32]]]:
    """Yield the outputs of a file, given by its path or its bytes, batch by batch."""
    cpu = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(model, session_options(), providers=cpu)
    return (session.run(outputs, batch) for batch in batches(inputs))


def fit_weights(
    exact: onnx.ModelProto,
    rounded: onnx.ModelProto,
    inputs: NDArray[np.uint8],
    on_progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Choose new weights and biases for the int8 file of an exact one, in place.

    Convolutions in several groups are left as they are unless they are depthwise, and so are those
    that sum over more inputs than a covariance has room for. ``on_progress`` is called with the
    share of the rounding that is done.
    """
    tensors = {tensor.name: tensor for tensor in rounded.graph.initializer}
    makers = {output: node for node in rounded.graph.node for output in node.output}
    takers = {
        makers[node.input[1]].input[0]: node
        for node in rounded.graph.node
        if node.op_type == "Conv" and node.input[1] in makers
    }
    values = {tensor.name: tensor for tensor in exact.graph.initializer}
    convolutions = [
        _Convolution(node, *(numpy_helper.to_array(values[name]) for name in node.input[1:]))
        for node in exact.graph.node
        if node.op_type == "Conv" and f"{node.input[1]}_quantized" in takers
    ]
    convolutions = [own for own in convolutions if own.can_be_fitted]
    _observe(exact, convolutions, inputs)
    on_progress(0.0)
    work = np.cumsum([own.weight.size * own.weight.shape[2] for own in convolutions])
    for own, done in zip(convolutions, work.tolist(), strict=True):
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
        on_progress(done / work[-1])


class _Convolution:
    """A convolution of the exact file, with the moments of its inputs.

    Each of its G groups has N kernels of K weights: G is 1, or the channels of a depthwise one.
    """

    def __init__(
        self,
        node: onnx.NodeProto,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32] | None = None,
    ) -> None:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self.source, self.name = node.input[:2]
        self.shape, self.pads = weight.shape, attributes.get("pads", [0, 0, 0, 0])
        parts = attributes.get("group", 1)
        self.is_depthwise = parts > 1
        groups = len(weight) if self.is_depthwise else 1
        self.weight = weight.reshape(groups, len(weight) // groups, -1).astype(float)
        self.bias = None if bias is None else bias.astype(float)
        size = self.weight.shape[2]
        self.can_be_fitted = size <= _MAX_INPUTS and parts in {1, len(weight)}
        self.count = 0
        if self.can_be_fitted:
            self.sums = np.zeros((groups, size))
            self.products = np.zeros((groups, size, size))

    def see(self, maps: NDArray[np.float32], drawn: np.random.Generator) -> None:
        """Add the moments of its inputs at some places of maps, (N, channels, height, width)."""
        top, left, bottom, right = self.pads
        padded = np.pad(maps, ((0, 0), (0, 0), (top, bottom), (left, right)))
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
        levels = DEPTHWISE_LEVELS if self.is_depthwise else LEVELS
        scale = np.maximum(np.abs(self.weight).max(2) / levels, _SMALLEST)
        if self.bias is not None:
            least = np.abs(self.bias).reshape(scale.shape) / (input_scale * _MAX_STEPS)
            scale = np.maximum(scale, least)
        mean = self.sums / self.count
        covariance = self.products / self.count - mean[:, :, None] * mean[:, None, :]
        steps = round_together(self.weight / scale[:, :, None], covariance, levels)
        bias = None
        if self.bias is not None:
            missing = (self.weight - steps * scale[:, :, None]) @ mean[:, :, None]
            bias = (self.bias + missing.reshape(-1)).astype(np.float32)
        return steps.reshape(self.shape).astype(np.int8), scale.reshape(-1).astype(np.float32), bias


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
    damped, weights = damped[:, order][:, :, order], weights[:, :, order]
    # The upper factor of the inverse: row i says how the later ones make up for an error of i.
    factor = np.linalg.inv(np.linalg.cholesky(damped[:, ::-1, ::-1])[:, ::-1, ::-1])
    left, steps = weights.copy(), np.zeros_like(weights)
    for i in range(len(order)):
        steps[:, :, i] = np.clip(np.round(left[:, :, i]), -levels, levels)
        missing = (left[:, :, i] - steps[:, :, i]) / factor[:, i, i, None]
        left[:, :, i:] -= missing[:, :, None] * factor[:, None, i, i:]
    nearest = np.clip(np.round(weights), -levels, levels)
    is_worse = _error(weights - steps, damped) > _error(weights - nearest, damped)
    steps[is_worse] = nearest[is_worse]
    gradient = (weights - steps) @ damped
    for _ in range(_SWEEPS):
        for i in range(len(order)):
            better = steps[:, :, i] + np.round(gradient[:, :, i] / damped[:, i, i, None])
            change = np.clip(better, -levels, levels) - steps[:, :, i]
            moved = group, _ = np.nonzero(change)  # few, after the first sweeps
            steps[:, :, i] += change
            gradient[moved] -= change[moved][:, None] * damped[group, i]
    return steps[:, :, np.argsort(order)]


def _error(missing: Floats, covariance: Floats) -> Floats:
    return np.asarray(np.einsum("gnk,gnk->gn", missing @ covariance, missing))


def _observe(
    exact: onnx.ModelProto, found: Sequence[_Convolution], inputs: NDArray[np.uint8]
) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(exact)
    sources = sorted({own.source for own in found})
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sources)
    drawn = np.random.default_rng(0)
    for maps in run_model(model.SerializeToString(), sources, inputs):
        of = dict(zip(sources, maps, strict=True))
        for own in found:
            own.see(of[own.source], drawn)
