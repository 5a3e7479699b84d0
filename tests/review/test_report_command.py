from __future__ import annotations

from pathlib import Path

import typer
from typer.testing import CliRunner

from recognizer.cli.report import command
from recognizer.errors import UsageError
from tests.review.rows import bare_row, write_rows


def test_the_command_writes_a_page(tiny_bundle: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    rows = write_rows(tmp_path / "scan.jsonl", [bare_row("a.jpg", 0.6, "review")])
    output = tmp_path / "page.html"
    arguments = [str(rows), "--output", str(output), "--bundle", str(tiny_bundle), "--title", "T&T"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert str(output) in result.output.replace("\n", "")
    assert "<title>T&amp;T</title>" in output.read_text(encoding="utf-8")
    arguments[2] = str(rows)
    before = rows.read_bytes()
    assert isinstance(CliRunner().invoke(app, arguments).exception, UsageError)
    assert rows.read_bytes() == before
