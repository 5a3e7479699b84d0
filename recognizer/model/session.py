"""Opening an onnxruntime session: which provider it really uses, and whether the model fits."""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import TYPE_CHECKING, Any

from recognizer.errors import BundleSchemaError, ProviderError, UsageError
from recognizer.model.bundle import Bundle
from recognizer.model.description import SecondLook

if TYPE_CHECKING:
    import onnxruntime

PROVIDERS = {
    "cpu": ("CPUExecutionProvider", "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime, on a Mac"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml, on Windows"),
    "openvino": ("OpenVINOExecutionProvider", "onnxruntime-openvino"),
}
"""Provider -> its name in onnxruntime, and the package that has it (see docs/speed.md)."""


def open_session(
    bundle: Bundle, provider: str, threads: int | None = None, second: SecondLook | None = None
) -> onnxruntime.InferenceSession:
    """Verify and load a bundle's model, or that of its second look.

    A provider that is unavailable is a ProviderError.
    """
    # Not above: what starts workers does not need it.
    import onnxruntime  # noqa: PLC0415

    onnxruntime.disable_telemetry_events()  # also if it was imported before this package
    if provider not in PROVIDERS:
        raise UsageError(f"provider {provider!r}: one of {', '.join(PROVIDERS)}")
    if threads is not None and threads < 1:
        raise UsageError(f"threads = {threads}: at least 1")
    names = {theirs: own for own, (theirs, _) in PROVIDERS.items()}
    there = [names[one] for one in onnxruntime.get_available_providers() if one in names]
    if provider not in there:
        advice = f"install {PROVIDERS[provider][1]} in its place, or use --provider cpu"
        words = f"not in this build of onnxruntime, which has {', '.join(there)}"
        raise ProviderError(f"the provider {provider!r} is {words}: {advice}")
    options = session_options(threads)
    if provider != "cpu":  # whose memory is not that of malloc
        options.enable_mem_pattern = options.enable_mem_reuse = True
    if bundle.model.precision == "int8" and bundle.model.weight_bits is None:
        # Sums of weights of 8 bits overflow on x64 CPUs without VNNI, unless told not to.
        options.add_session_config_entry("session.x64quantprecision", "1")
    model = bundle.read_model(second)
    try:
        providers = _providers(provider, threads)
        session = onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:
        if not is_onnxruntime_error(error):
            raise
        raise BundleSchemaError(f"onnxruntime cannot load {bundle.path}: {error}") from error
    _SESSIONS.add(session)
    used = names[session.get_providers()[0]]
    if used != provider:
        words = f"onnxruntime could not start the provider {provider!r} and would use {used!r}"
        raise ProviderError(words)
    _check_interface(session, bundle, second)
    return session


_SESSIONS: weakref.WeakSet[Any] = weakref.WeakSet()


def _keep_sessions() -> None:
    """Keep them for ever in a forked process: their end waits for threads that it does not have."""
    for session in _SESSIONS:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_sessions)


def is_onnxruntime_error(error: Exception) -> bool:
    """Return whether onnxruntime raised an error; its exceptions share no base class."""
    # Those of C++ that it has no class for come as a RuntimeError.
    return type(error).__module__.startswith("onnxruntime") or type(error) is RuntimeError


def session_options(threads: int | None = None) -> onnxruntime.SessionOptions:
    """Return the options with which every model is opened: serving, parity, benchmarks."""
    import onnxruntime  # noqa: PLC0415 - as in open_session

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # On the CPU these take memory, and time: what malloc gives is in the cache of the CPU.
    options.enable_cpu_mem_arena = options.enable_mem_pattern = options.enable_mem_reuse = False
    if threads is not None:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
    return options


def _providers(name: str, threads: int | None) -> list[str | tuple[str, dict[str, str]]]:
    own, cpu = PROVIDERS[name][0], PROVIDERS["cpu"][0]
    # OpenVINO has threads of its own.
    options = {"num_of_threads": str(threads)} if name == "openvino" and threads else {}
    return [cpu] if own == cpu else [(own, options), cpu]


def _check_interface(
    session: onnxruntime.InferenceSession, bundle: Bundle, second: SecondLook | None
) -> None:
    size, count = (second or bundle.input).size, len(bundle.labels)
    inputs = session.get_inputs()
    if (
        [(i.name, i.type) for i in inputs] != [("images", "tensor(uint8)")]
        or inputs[0].shape[1:] != [size, size, 3]
        or isinstance(inputs[0].shape[0], int)
    ):
        due = f"uint8 images of shape (N, {size}, {size}, 3)"
        raise BundleSchemaError(f"{bundle.path}: the model does not take {due}")
    shapes = {output.name: output.shape for output in session.get_outputs()}
    if second is not None:
        if len(shapes.get("scores", ())) != 2 or shapes["scores"][1] not in range(1, count + 1):
            due = f"scores (N, {count}) in {bundle.path}"
            raise BundleSchemaError(f"the second look has the outputs {shapes}, not {due}")
        return
    dimensions = {name: len(shapes.get(name, [])) for name in ("scores", "maps", "embedding")}
    if dimensions != {"scores": 2, "maps": 4, "embedding": 2} or any(
        shapes[name][1] != count for name in ("scores", "maps")
    ):
        due = f"scores (N, {count}), maps (N, {count}, h, w) and embedding (N, channels)"
        raise BundleSchemaError(f"{bundle.path}: the outputs are of the shapes {shapes}, not {due}")
