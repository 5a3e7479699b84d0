"""What verbs share: repeated options, reading data folders, and the check of an extra."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.errors import MissingExtraError

if TYPE_CHECKING:
    from recognizer.dataset.manifest import Photo
    from recognizer.recognizer import Recognizer

JournalArgument = Annotated[Path, typer.Argument(help="The rows of a scan (JSONL).")]
BundleArgument = Annotated[
    str | None,
    typer.Argument(help="A bundle's folder or name.", show_default="the released one"),
]
BundleOption = Annotated[
    str | None,
    typer.Option(
        "--bundle", "-b", help="A bundle's folder or name.", show_default="the released one"
    ),
]
NewBundleOption = Annotated[
    Path, typer.Option("--output", "-o", help="The new bundle: a folder NAME-vN.")
]
DataOption = Annotated[
    list[Path],
    typer.Option(
        "--data",
        "-d",
        help="A folder with a manifest.csv, or with a folder for each label. May be repeated.",
    ),
]
ThreadsOption = Annotated[int, typer.Option(help="Threads for each pass.", min=1)]
OutOfFoldOption = Annotated[
    Path | None,
    typer.Option(
        "--out-of-fold",
        metavar="FILE",
        help="Use the out-of-fold predictions that `train --folds` wrote, instead of a bundle's.",
    ),
]
ProviderOption = Annotated[
    str, typer.Option(help="The provider of onnxruntime: cpu, cuda, coreml, directml, openvino.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]
JsonLinesOption = Annotated[
    bool, typer.Option("--json", help="Print JSON instead: one object on each line.")
]

_MODULES = {
    "evaluate": ("matplotlib", "scipy", "sklearn"),
    "train": (
        *("torch", "torchvision", "timm", "lightning_fabric", "sklearn"),
        *("onnx", "onnxscript", "pyarrow", "tensorboard"),
    ),
}


def require_extra(extra: str, *modules: str) -> None:
    """Raise a MissingExtraError unless all modules of an extra, or the given ones, are there."""
    for module in modules or _MODULES[extra]:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(module, extra)


def know_labels(recognizer: Recognizer) -> None:
    """Add the labels that a bundle brings with it to those that photos may have."""
    from recognizer.taxonomy import load_taxonomy, use_taxonomy

    if recognizer.bundle.taxonomy != load_taxonomy():
        use_taxonomy(recognizer.bundle.taxonomy)


def load_data(folders: list[Path]) -> list[Photo]:
    """Return the photos of several data folders."""
    from recognizer.dataset.manifest import load_photos

    return [photo for folder in folders for photo in load_photos(folder)]
