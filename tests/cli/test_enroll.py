from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from recognizer.cli import ExitCode
from tests.conftest import invoke, read_rows, succeed, write_pictures


@pytest.fixture
def others(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "others", *["red", "green", "gray"] * 80, seed=900)


@pytest.fixture
def photos(photo_folder: Callable[..., Path]) -> Path:
    return photo_folder("blue", "blue", "blue")


@pytest.fixture
def enroll(tiny_bundle: Path, photos: Path, others: Path) -> Callable[..., Result]:
    base = ("enroll", "rhino_horn", photos, "--bundle", tiny_bundle, "--negatives", others)
    return lambda *options: invoke(*base, *options)


def test_a_product_is_enrolled_and_scanned_for(
    enroll: Callable[..., Result], photos: Path, others: Path, tmp_path: Path
) -> None:
    made = tmp_path / "mine-v2"
    result = enroll("--output", made)
    assert result.exit_code == ExitCode.DONE, result.output
    assert "rhino_horn: 3 photos of 1 source; 240 negatives" in result.stdout
    assert f"Wrote {made}" in result.stdout
    scanned, report = tmp_path / "scan.sqlite", tmp_path / "report.html"
    options = ("--bundle", made, "--output", scanned, "--report", report, "--workers", 1)
    result = succeed("scan", photos, others / "001_green.jpg", *options)
    *found, other = read_rows(scanned)
    assert [row["leads"][0]["name"] for row in found] == ["rhino_horn"] * 3
    assert (other["leads"], other["model"]["name"]) == ([], "mine")
    assert found[0]["regions"][0]["label"] == "rhino_horn"
    assert "enrolled from 3 photos" in report.read_text()


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
