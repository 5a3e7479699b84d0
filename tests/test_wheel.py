"""The wheel, away from the checkout and without torch: what users install."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from recognizer.model.folders import DEFAULT_BUNDLE
from tests.conftest import encoded, picture, read_rows, run_python

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The content of a wheel that was built from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("wildlife_product_recognizer-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(unpacked, folder, *arguments):
    blocker = folder / "blocked"
    for name in ("torch", "timm", "sklearn", "onnx", "matplotlib"):
        (blocker / name).mkdir(parents=True, exist_ok=True)
        (blocker / name / "__init__.py").write_text(f"raise ImportError('{name} is blocked')")
    path = os.pathsep.join([str(unpacked), str(blocker)])
    return run_python(*arguments, cwd=folder, env={**os.environ, "PYTHONPATH": path})


def test_it_carries_what_it_needs(unpacked):
    package = unpacked / "recognizer"
    for name in (
        "py.typed",
        "lab/training/model_card.md.j2",
        "desk/templates/queue.html.j2",
        "desk/templates/case.html.j2",
        "desk/static/app.js",
        "desk/templates/card.html.j2",
        "recipes/small-cpu.toml",
    ):
        assert (package / name).is_file(), name
    card = package / "bundles" / DEFAULT_BUNDLE / "MODEL_CARD.md"
    for link in re.findall(r"\]\(([^:)]+)\)", card.read_text("utf-8")):
        assert (card.parent / link).is_file(), link
    others = {p.name for p in unpacked.iterdir()} - {"recognizer"}
    assert all(name.endswith(".dist-info") for name in others)


def test_it_scans_with_the_model_inside_it(unpacked, tmp_path):
    where = run(unpacked, tmp_path, "-c", "import recognizer; print(recognizer.__file__)")
    assert Path(where.stdout.strip()).is_relative_to(unpacked), where.stderr
    (tmp_path / "photo.jpg").write_bytes(encoded(picture("gray", (640, 480))))
    (tmp_path / "broken.jpg").write_bytes(b"<html>")
    command = "-m recognizer scan . -o scan.sqlite -w 1 --strict"
    done = run(unpacked, tmp_path, *command.split())
    assert done.returncode == 3, done.stderr
    by_name = {Path(row["source"]).name: row for row in read_rows(tmp_path / "scan.sqlite")}
    assert by_name["broken.jpg"]["status"] == "failed"
    assert by_name["photo.jpg"]["status"] == "ok"
    assert f"{by_name['photo.jpg']['model']['name']}" in DEFAULT_BUNDLE
    report = run(unpacked, tmp_path, "-m", "recognizer", "report", "scan.sqlite")
    assert report.returncode == 0, report.stderr
    assert "<html" in (tmp_path / "report.html").read_text()


def test_what_ci_tries_of_an_installation_works(tmp_path):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "TMPDIR": str(tmp_path)}
    done = subprocess.run(ROOT / ".ci/smoke", env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
