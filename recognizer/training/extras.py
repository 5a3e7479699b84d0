"""Whether the extra ``train`` is installed, said before a heavy import fails half-way."""

from __future__ import annotations

import importlib.util

from recognizer.errors import MissingExtraError

_TRAINING_MODULES = ("torch", "torchvision", "timm", "sklearn", "onnx", "onnxscript")


def require_training(modules: tuple[str, ...] = _TRAINING_MODULES) -> None:
    """Check that optional modules can be imported.

    Raises:
        MissingExtraError: one of them cannot; the message says how to install it.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(module, "train")
