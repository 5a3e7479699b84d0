from __future__ import annotations

from pathlib import Path

import pytest

from recognizer.cli import ExitCode
from recognizer.model.bundle import load_bundle
from recognizer.rows import ScanFile
from tests.conftest import invoke
from tests.rows.rows import bare_row, write_scan


@pytest.fixture
def scan(tiny_bundle: Path, tmp_path: Path) -> Path:
    rows = [bare_row("a.jpg", 0.6, "review")]
    return write_scan(tmp_path / "scan.sqlite", rows, load_bundle(tiny_bundle))


def test_the_command_writes_a_page(scan: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "page.html"
    always = ("report", scan, "--bundle", tiny_bundle, "--title", "T&T", "--output")
    result = invoke(*always, output)
    assert result.exit_code == ExitCode.DONE, result.output
    assert str(output) in result.output.replace("\n", "")
    page = output.read_text(encoding="utf-8")
    assert "<title>T&amp;T</title>" in page
    assert "by tiny-v1" in page  # what it does not recognise
    assert invoke(*always, scan).exit_code == ExitCode.USAGE
    with ScanFile(scan) as file:
        assert len(file) == 1


def test_the_words_on_evidence_are_those_of_the_model_behind_the_rows(
    scan: Path, tmp_path: Path
) -> None:
    output = tmp_path / "page.html"
    assert invoke("report", scan, "--output", output).exit_code == ExitCode.DONE
    assert "The model tiny-v1 is not at hand" in output.read_text()
    assert "<b>Not recognised</b>" not in output.read_text()


def test_what_is_no_scan_and_what_cannot_be_served_is_refused(scan: Path, tmp_path: Path) -> None:
    none = tmp_path / "none.sqlite"
    for verb in ("report", "review"):
        refused = invoke(verb, none)
        assert refused.exit_code == ExitCode.USAGE
        assert "does not exist" in " ".join(refused.stderr.split())
        assert not none.exists()
    short = invoke("review", scan, "--token", "short")
    assert "at least 16 characters" in " ".join(short.stderr.split())
    nowhere = invoke("review", scan, "--host", "192.0.2.1", "--port", "0")
    assert nowhere.exit_code == ExitCode.USAGE
    assert "name another --port or --host" in " ".join(nowhere.stderr.split())
