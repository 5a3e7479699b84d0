from __future__ import annotations

import subprocess
import sys

import pytest

import recognizer
from recognizer import errors


def test_all_names_are_sorted_and_resolve() -> None:
    assert recognizer.__all__ == sorted(recognizer.__all__)
    assert len(set(recognizer.__all__)) == len(recognizer.__all__)
    for name in recognizer.__all__:
        assert getattr(recognizer, name) is not None
        assert name in dir(recognizer)


def test_the_exported_names_are_all_there_are() -> None:
    lazy = set(recognizer._HOMES) | {"__version__"}
    assert lazy == set(recognizer.__all__)


def test_names_come_from_where_the_type_checker_sees_them() -> None:
    for name, module in recognizer._HOMES.items():
        home = sys.modules.get(f"recognizer.{module}")
        getattr(recognizer, name)
        home = sys.modules[f"recognizer.{module}"]
        assert getattr(home, name) is getattr(recognizer, name)


def test_every_error_is_public() -> None:
    own = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert own <= set(recognizer.__all__)
    assert all(issubclass(getattr(errors, name), errors.RecognizerError) for name in own)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = [
        line.split("── ", 1)[1].split()[0]
        for line in (errors.__doc__ or "").splitlines()
        if "── " in line
    ]
    own = {
        n
        for n, v in vars(errors).items()
        if isinstance(v, type) and v.__module__ == errors.__name__
    }
    assert set(drawn) == own - {"RecognizerError"}


def test_star_import() -> None:
    names: dict[str, object] = {}
    exec("from recognizer import *", names)
    assert set(recognizer.__all__) <= set(names)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        recognizer.Nothing  # noqa: B018
    assert not hasattr(recognizer, "Nothing")


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import recognizer", ("numpy", "cv2", "PIL", "onnxruntime", "torch", "simplejpeg")),
        ("import recognizer.recognizer", ("torch", "timm", "torchvision", "onnx", "sklearn")),
        ("from recognizer import Status, UsageError", ("numpy", "cv2", "PIL", "onnxruntime")),
        ("from recognizer import *", ("torch", "timm", "torchvision", "onnx")),
    ],
)
def test_imports_are_as_light_as_they_can_be(statement: str, absent: tuple[str, ...]) -> None:
    program = f"import sys\n{statement}\nprint([m for m in {absent} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
