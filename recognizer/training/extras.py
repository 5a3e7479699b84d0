"""Whether what an extra brings is installed, said before a heavy import fails half-way."""

from __future__ import annotations

import importlib.util

from recognizer.errors import MissingExtraError

_TRAINING_MODULES = (
    "torch", "torchvision", "timm", "sklearn", "onnx", "onnxscript", "tensorboard",
)  # fmt: skip
_EVALUATION_MODULES = ("matplotlib", "scipy", "sklearn")


def require_training() -> None:
    """Check that what training needs can be imported.

    Raises:
        MissingExtraError: some of it cannot; the message says how to install it.
    """
    _require(_TRAINING_MODULES, "train")


def require_evaluation() -> None:
    """Check that what evaluation needs can be imported; torch is not among it.

    Raises:
        MissingExtraError: some of it cannot; the message says how to install it.
    """
    _require(_EVALUATION_MODULES, "evaluate")


def require_label_checks() -> None:
    """Check that what looks for wrong labels can be imported.

    Raises:
        MissingExtraError: some of it cannot; the message says how to install it.
    """
    _require(("cleanlab", "sklearn"), "train")


def _require(modules: tuple[str, ...], extra: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(module, extra)
