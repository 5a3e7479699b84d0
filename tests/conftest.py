import json
import multiprocessing
import os
import subprocess
import sys
from functools import partial

import pytest
from hypothesis import settings
from typer.testing import CliRunner

from recognizer.cli import ExitCode
from recognizer.commands import app
from recognizer.engine import Recognizer
from recognizer.model.bundle import load_bundle
from recognizer.rows import ScanFile
from tests.pictures import encoded, picture
from tests.tiny import write_tiny_bundle

settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")


@pytest.fixture(autouse=True)
def _processes_start_at_once(monkeypatch):
    """They are forked off one that has imported what they need; all else is as it is in use."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        multiprocessing.set_forkserver_preload(["recognizer.scan.worker", "onnxruntime"])
        monkeypatch.setattr("recognizer._process.START_METHOD", "forkserver")


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    """A folder with a bundle for which red is ivory (see tests/tiny.py)."""
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny-v1")


@pytest.fixture(scope="session")
def bundle(tiny_bundle):
    """Thresholds of each product and of the family: 0.4, 0.5 and 0.9 at 5, 1 and 0.1 %."""
    return load_bundle(tiny_bundle)


@pytest.fixture(scope="session")
def recognizer(tiny_bundle):
    return Recognizer.load(tiny_bundle, threads=1)


@pytest.fixture(scope="session")
def labelled_photos(tmp_path_factory):
    """Twelve photos of one color for each of three labels (see tests/labelled.py)."""
    from tests.labelled import write_photos  # noqa: PLC0415 - it needs this module

    return write_photos(tmp_path_factory.mktemp("labelled"))


def invoke(*arguments, code=None, **options):
    """Run the command line in this process, and expect its exit code if one is given."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], **options)
    assert code in {None, done.exit_code}, (arguments, done.output, done.exception)
    return done


succeed = partial(invoke, code=ExitCode.DONE)
refuse = partial(invoke, code=ExitCode.USAGE)


def run_python(*arguments, **options):
    """Run Python in another process; what it prints is captured."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def write_pictures(folder, *colors, seed=0):
    """Make a folder of JPEG photos named after their number and color."""
    folder.mkdir(parents=True)
    for i, color in enumerate(colors):
        (folder / f"{i:03}_{color}.jpg").write_bytes(encoded(picture(color, seed=seed + i)))
    return folder


@pytest.fixture
def photo_folder(tmp_path):
    return partial(write_pictures, tmp_path / "photos")


def read_rows(path):
    """The rows of a scan, as an export has them but for when each was last seen."""
    with ScanFile(path) as file:
        return [{**json.loads(row.to_json_line()), "last_seen": None} for row in file.rows()]


@pytest.fixture
def scan(tiny_bundle, tmp_path):
    """Scans with the tiny bundle, into ``scan.sqlite``."""
    output = ("--model", tiny_bundle, "--output", tmp_path / "scan.sqlite", "--workers", 1)
    return lambda *arguments, **options: invoke("scan", *output, *arguments, **options)


@pytest.fixture
def scanned(scan, tmp_path):
    """Scans, and returns all rows of the file."""

    def rows(*arguments):
        scan(*arguments, code=ExitCode.DONE)
        return read_rows(tmp_path / "scan.sqlite")

    return rows


def write_file(path, content):
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium, if the machine has one."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not os.path.exists(CHROMIUM):
        pytest.skip(f"there is no {CHROMIUM}")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            browser.close()
