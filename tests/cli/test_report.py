from __future__ import annotations

from pathlib import Path

from recognizer.cli import ExitCode
from recognizer.model.bundle import load_bundle
from tests.conftest import invoke
from tests.rows.rows import bare_row, write_rows


def test_the_command_writes_a_page(tiny_bundle: Path, tmp_path: Path) -> None:
    row = bare_row("a.jpg", 0.6, "review")
    rows = write_rows(tmp_path / "scan.jsonl", [row], load_bundle(tiny_bundle))
    output, before = tmp_path / "page.html", rows.read_bytes()
    always = ("report", rows, "--bundle", tiny_bundle, "--title", "T&T", "--output")
    result = invoke(*always, output)
    assert result.exit_code == ExitCode.DONE, result.output
    assert str(output) in result.output.replace("\n", "")
    assert "<title>T&amp;T</title>" in output.read_text(encoding="utf-8")
    assert invoke(*always, rows).exit_code == ExitCode.USAGE
    assert rows.read_bytes() == before


def test_the_model_behind_the_rows_is_taken_or_asked_for(tiny_bundle: Path, tmp_path: Path) -> None:
    """The page's words on coverage are those of the model that made the rows."""
    journal, output = tmp_path / "scan.jsonl", tmp_path / "page.html"
    write_rows(journal, [bare_row("a.jpg", 0.6, "review")], load_bundle())
    assert invoke("report", journal, "--output", output).exit_code == ExitCode.DONE
    assert "<b>Not recognised</b> by wildlife-v5" in output.read_text()
    write_rows(journal, [bare_row("a.jpg", 0.6, "review")], load_bundle(tiny_bundle))
    for more in ((), ("--bundle", "wildlife-v5")):
        refused = invoke("report", journal, "--output", output, *more)
        assert refused.exit_code == ExitCode.MODEL
        assert "give its folder with --bundle" in " ".join(refused.stderr.split())
    given = invoke("report", journal, "--output", output, "--bundle", tiny_bundle)
    assert given.exit_code == ExitCode.DONE
    assert "by tiny-v1" in output.read_text()
