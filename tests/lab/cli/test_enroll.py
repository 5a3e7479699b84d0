from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from recognizer.cli import ExitCode
from tests.conftest import invoke, write_pictures


@pytest.fixture
def others(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "others", *["red", "green", "gray"] * 80, seed=900)


@pytest.fixture
def photos(photo_folder: Callable[..., Path]) -> Path:
    return photo_folder("blue", "blue", "blue")


@pytest.fixture
def enroll(tiny_bundle: Path, photos: Path, others: Path) -> Callable[..., Result]:
    base = ("enroll", "rhino_horn", photos, "--model", tiny_bundle, "--negatives", others)
    return lambda *options: invoke(*base, *options)


def test_a_check_needs_no_output_and_a_broken_photo_is_told(
    enroll: Callable[..., Result], photos: Path, tmp_path: Path
) -> None:
    result = enroll("--check")
    assert result.exit_code == ExitCode.DONE, result.output
    assert "recall 3 of 3" in result.stdout
    assert "Wrote" not in result.stdout
    for options in ((), ("--check", "--output", tmp_path / "mine-v2")):
        result = enroll(*options)
        assert result.exit_code == ExitCode.USAGE
        assert "give either --output, the folder of the new bundle, or --check" in result.stderr
    (photos / "page.jpg").write_bytes(b"<html>")
    result = enroll("--output", tmp_path / "mine-v2")
    assert result.exit_code == ExitCode.SOME_FAILED
    assert "page.jpg" in result.stderr
    assert (tmp_path / "mine-v2" / "bundle.json").is_file()
