"""Options and arguments, each declared once; JSON, extras."""

import importlib.util
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer import Argument, Option

from recognizer.errors import MissingExtraError

_SCAN = "The file of a scan (SQLite)."
ScanArgument = Annotated[Path, Argument(metavar="SCAN", help=_SCAN)]
ScanOption = Annotated[Path, Option("--scan", "-s", metavar="SCAN", help=_SCAN)]
OutcomesOption = Annotated[
    Path | None, Option(metavar="FILE", help="The file of outcomes.", show_default="the scan's own")
]
_POLICY_HELP = "A policy (TOML), or one of this package: default, strict, small-platform."
PolicyArgument = Annotated[str, Argument(metavar="POLICY", help=_POLICY_HELP)]
PolicyOption = Annotated[str, Option("--policy", metavar="POLICY", help=_POLICY_HELP)]
ScanPolicyOption = Annotated[
    str | None,
    Option("--policy", metavar="POLICY", help=_POLICY_HELP, show_default="the scan's own"),
]

_MODEL = "A model: the folder or the name of a bundle."
BundleArgument = Annotated[
    str | None, Argument(metavar="MODEL", help=_MODEL, show_default="the released one")
]
BundleOption = Annotated[
    str | None,
    Option("--model", "-m", metavar="MODEL", help=_MODEL, show_default="the released one"),
]
_FOUND = "found by its digest among those of this package"
RowsBundleOption = Annotated[
    list[str] | None,
    Option(
        *("--model", "-m"), metavar="MODEL", help=f"{_MODEL[:-1]}; repeatable.", show_default=_FOUND
    ),
]
ProviderOption = Annotated[str, Option(help="Provider: cpu, cuda, coreml, directml or openvino.")]

_PHOTOS = "A folder of labelled photos, with a manifest.csv or a folder for each label; repeatable."
DATA = Option("--data", "-d", metavar="FOLDER", help=_PHOTOS)
DataOption = Annotated[list[Path], DATA]
Split = Literal["test", "validation", "all"]


def output_option(help: str, **more: Any) -> Any:  # noqa: A002 - as typer calls it
    """Return the declaration of ``--output``, which says what is written there."""
    return Option("--output", "-o", help=help, **more)


TitleOption = Annotated[str | None, Option(help="Page title.", show_default="the input's name")]
NewBundleOption = Annotated[Path, output_option("The new bundle: a folder NAME-vN.")]
JsonOption = Annotated[bool, Option("--json", help="Print one JSON object instead.")]


def to_json(content: Any) -> str:
    """Return an object of plain values and dataclasses as JSON."""
    import msgspec

    values = msgspec.to_builtins(
        content,
        str_keys=True,
        enc_hook=lambda value: value.item() if hasattr(value, "item") else str(value),  # numpy's
    )
    return json.dumps(values, indent=2) + "\n"


def print_json(content: Any) -> None:
    typer.echo(to_json(content), nl=False)


def group(help: str) -> typer.Typer:  # noqa: A002 - as typer calls it
    return typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, help=help)


_OF_LAB = ("torch", "timm", "safetensors", "sklearn", "onnx", "onnxscript")
EXTRAS: dict[str, tuple[str, tuple[str, ...]]] = {
    "cloud": ("object stores such as s3://, the web", ("fsspec", "s3fs", "aiohttp")),
    "heif": ("HEIC photos", ("pillow_heif",)),
    "parquet": ("Parquet tables", ("pyarrow",)),
    "desk": (
        "the review server, cases",
        ("starlette", "uvicorn", "itsdangerous", "bagit", "scipy"),
    ),
    "lab": ("evaluation, enrolment, training", (*_OF_LAB, *("pyarrow", "matplotlib", "scipy"))),
}
"""Extra -> what it is for, and the modules that it brings."""


def missing_modules(modules: Iterable[str]) -> list[str]:
    return [module for module in modules if importlib.util.find_spec(module) is None]


def require_extra(extra: str, *modules: str) -> None:
    """Raise a MissingExtraError unless all modules of an extra, or the given ones, are there."""
    for module in missing_modules(modules or EXTRAS[extra][1]):
        raise MissingExtraError(module, extra)
