from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
from numpy.typing import NDArray

import recognizer
import recognizer.imaging.load


def test_all_names_are_sorted_and_resolve() -> None:
    assert recognizer.__all__ == sorted(recognizer.__all__)
    assert len(set(recognizer.__all__)) == len(recognizer.__all__)
    for name in recognizer.__all__:
        assert getattr(recognizer, name) is not None
        assert name in dir(recognizer)


TREE = ast.parse(Path(recognizer.__file__).read_text(encoding="utf-8"))
HOMES = {
    alias.name: node.module or ""
    for node in ast.walk(TREE)
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("recognizer.")
    for alias in node.names
}
"""Public name -> the module in which the type checker sees it."""
HEAVY_HOMES = tuple(
    f"recognizer.{name}" for name in ("engine", "guarded", "imaging", "known", "model")
)
VALUES = sorted(name for name, home in HOMES.items() if not home.startswith(HEAVY_HOMES))


def test_names_come_from_where_the_type_checker_sees_them() -> None:
    assert HOMES.keys() == set(recognizer.__all__) - {"__version__"}
    for name, module in HOMES.items():
        assert getattr(recognizer, name) is getattr(importlib.import_module(module), name)


PARTS_OF_A_BUNDLE = ("recognizer.model.description", "recognizer.model.description")
"""Public too: a score of values that are read from a bundle, and that nobody has to build."""


def types_in(annotation: object) -> Iterator[type]:
    """Yield the classes of this package that an annotation names."""
    if isinstance(annotation, type) and annotation.__module__.startswith("recognizer"):
        yield annotation
    arguments = (*get_args(annotation), getattr(annotation, "__value__", None))
    for argument in arguments:
        if isinstance(argument, list | tuple):  # of a Callable
            for one in argument:
                yield from types_in(one)
        elif argument is not None:
            yield from types_in(argument)


def signatures(public: object) -> Iterator[dict[str, object]]:
    """Yield the annotations of a function, or of a class's fields, methods and properties."""
    names = {**vars(np), "NDArray": NDArray, "np": np, **vars(recognizer.imaging.load)}
    if not isinstance(public, type):
        if callable(public):
            yield get_type_hints(public, localns=names)
        return
    yield get_type_hints(public, localns=names)
    for name, member in vars(public).items():
        if name == "__init__" or not name.startswith("_"):
            plain = member.__func__ if isinstance(member, classmethod) else member
            plain = getattr(plain, "fget", None) or getattr(plain, "func", None) or plain
            if inspect.isfunction(plain):
                yield get_type_hints(plain, localns=names)


@pytest.mark.parametrize("name", sorted(set(recognizer.__all__) - {"__version__", "ImageSource"}))
def test_the_types_of_public_signatures_are_public(name: str) -> None:
    for hints in signatures(getattr(recognizer, name)):
        for key, annotation in hints.items():
            if not key.startswith("_"):
                for found in types_in(annotation):
                    if found.__module__ in PARTS_OF_A_BUNDLE:
                        continue
                    assert getattr(recognizer, found.__name__, None) is found, (name, key)


def test_star_import() -> None:
    names: dict[str, object] = {}
    exec("from recognizer import *", names)
    assert set(recognizer.__all__) <= set(names)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        recognizer.Nothing  # noqa: B018
    assert not hasattr(recognizer, "Nothing")


HEAVY = ("numpy", "cv2", "PIL", "onnxruntime", "torch", "simplejpeg", "sqlite3", "jinja2", "rich")


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import recognizer", (*HEAVY, "msgspec")),
        (f"from recognizer import {', '.join(VALUES)}", HEAVY),
        ("import recognizer.engine", ("torch", "timm", "torchvision", "onnx", "sklearn")),
        ("from recognizer import *", ("torch", "timm", "torchvision", "onnx")),
    ],
)
def test_imports_are_as_light_as_they_can_be(statement: str, absent: tuple[str, ...]) -> None:
    program = f"import sys\n{statement}\nprint([m for m in {absent} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
