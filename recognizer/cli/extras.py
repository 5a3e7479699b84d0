"""Check that an extra is installed before a heavy import fails halfway."""

from __future__ import annotations

import importlib.util

from recognizer.errors import MissingExtraError

_MODULES = {
    "evaluate": ("matplotlib", "scipy", "sklearn"),
    "train": ("torch", "torchvision", "timm", "sklearn", "onnx", "onnxscript", "tensorboard"),
}


def require_extra(extra: str, *modules: str) -> None:
    """Check that the modules of an extra can be imported.

    Args:
        extra: ``evaluate`` or ``train``.
        modules: the ones needed; all of the extra if none is given.

    Raises:
        MissingExtraError: one is missing; the message says how to install it.
    """
    for module in modules or _MODULES[extra]:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(module, extra)
