import ast
import importlib
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

import recognizer
import recognizer.desk
import recognizer.imaging.load
import recognizer.lab
import recognizer.rows
import recognizer.scan
from recognizer import errors, policy, rows
from recognizer.prediction import Prediction, Region
from tests.conftest import encoded, picture, run_python
from tests.pictures import animated

ROOT = Path(__file__).parents[1]


def homes(package):
    """Public name -> the module in which the type checker sees it."""
    stub = ast.parse(Path(str(package.__file__)).with_suffix(".pyi").read_text("utf-8"))
    nodes = [node for node in ast.walk(stub) if isinstance(node, ast.ImportFrom)]
    modules = {node: f"{package.__name__}.{node.module}" for node in nodes}
    return {alias.name: modules[node] for node in nodes for alias in node.names}


HOMES = homes(recognizer)
LAZY = (recognizer, recognizer.desk, recognizer.lab, recognizer.scan, policy, rows)
HEAVY_HOMES = tuple(
    f"recognizer.{name}" for name in ("engine", "guarded", "imaging", "known", "model")
)
VALUES = sorted(name for name, home in HOMES.items() if not home.startswith(HEAVY_HOMES))


@pytest.mark.parametrize("package", [*LAZY, recognizer.imaging])
def test_names_come_from_where_the_type_checker_sees_them(package):
    seen = homes(package)
    assert package.__all__ == sorted(seen)
    assert {*package.__all__} <= {*dir(package)}
    for name, module in seen.items():
        assert getattr(package, name) is getattr(importlib.import_module(module), name)
    with pytest.raises(AttributeError, match=f"{package.__name__} attribute nothing"):
        getattr(package, "nothing")  # noqa: B009


GUIDE_FILES = ("README.md", "docs/*.md", "examples/*.py", "notebooks/*.py", "notebooks/*.ipynb")
GUIDES = [path for pattern in GUIDE_FILES for path in sorted(ROOT.glob(pattern))]
IMPORT = re.compile(r"from (recognizer[\w.]*) import (?:\(([^)]*)\)|([\w, ]+))")


def test_guides_import_from_doors_alone():
    public = {door.__name__: {*door.__all__} for door in LAZY} | {"recognizer.errors": OWN}
    count = 0
    for path in GUIDES:
        text = path.read_text("utf-8").replace('\\n",\n', "\n").replace('    "', "")
        assert not re.search(r"^\s*import recognizer\.", text, re.MULTILINE), path
        for door, several, single in IMPORT.findall(text):
            names = {name.strip() for name in (several or single).split(",")} - {""}
            assert names <= public.get(door, set()), (path.name, door)
            count += 1
    assert count > 20


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
def test_imports_are_as_light_as_they_can_be(statement, absent):
    program = f"import sys\n{statement}\nprint([m for m in {absent} if m in sys.modules])"
    assert run_python("-c", program).stdout.strip() == "[]"


OWN = {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and value.__module__ == errors.__name__
}


def test_all_errors_have_one_base():
    assert all(issubclass(getattr(errors, name), errors.RecognizerError) for name in OWN)


@pytest.mark.parametrize("image", [encoded(picture()), animated("blue", "red"), b"", picture()])
def test_a_prediction_as_json(image, recognizer):
    prediction = recognizer.explain(image, "ivory_worked").prediction
    found = json.loads(json.dumps(prediction.to_dict(), allow_nan=False))
    assert [*found] == [field.name for field in fields(Prediction)]
    assert found["scores"] == prediction.scores
    assert found["status"] == prediction.status
    regions = [Region(**{**region, "box": tuple(region["box"])}) for region in found["regions"]]
    assert tuple(regions) == prediction.regions
