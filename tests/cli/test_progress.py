from __future__ import annotations

import io

import pytest
from rich.console import Console

from recognizer.cli import progress


@pytest.mark.parametrize(
    ("seconds", "lines"), [(0.0, ["scoring: 1/2", "scoring: 2/2", "drawing: 1/1"]), (1e6, [])]
)
def test_progress_is_a_line_now_and_then_where_there_is_no_terminal(
    seconds: float, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", seconds)
    written = io.StringIO()
    with progress.show_progress(Console(file=written, width=20)) as report:
        report("scoring", 1, 2)
        report("scoring", 2, 2)
        report("drawing", 1, 1)
    assert written.getvalue().splitlines() == lines


@pytest.mark.parametrize("transient", [True, False])
def test_progress_is_a_bar_on_a_terminal(transient: bool) -> None:
    written = io.StringIO()
    console = Console(file=written, width=60, force_terminal=True, _environ={"TERM": "xterm"})
    with progress.show_progress(console, transient=transient) as report:
        report("scoring [1]", 1, 2)
        report("scoring [1]", 2, 2)
    assert "100%" in written.getvalue()
    assert "scoring: " not in written.getvalue()
