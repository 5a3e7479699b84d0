"""Output of commands: progress on standard error, tables as wide as they need to be, failures."""

import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import typer

from recognizer.cli import ExitCode

_Reports: TypeAlias = Iterator[Callable[..., None]]
_SPEED_SECONDS = 600.0  # of reports; training makes one a minute
_WIDTH = 150  # redirected into a file, a table must not be cut to a terminal's width


@contextmanager
def show_progress(begun: str = "loading", *, every: float = 10, quiet: bool = False) -> _Reports:
    """Yield a function that shows words, and how much is done of how much, beside a spinner.

    Without a terminal it prints a line, at most every ``every`` seconds. The time left is
    estimated by the reports of the last ten minutes, while they count up to the same number.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, quiet=quiet)
    printed = time.monotonic()
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeRemainingColumn()
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,  # else it ends with an empty line
        speed_estimate_period=_SPEED_SECONDS,
    ) as progress:
        task = progress.add_task(begun, total=None)

        def report(words: str, done: int | None = None, of: int | None = None) -> None:
            nonlocal printed
            if of != progress.tasks[0].total or (done or 0) < progress.tasks[0].completed:
                progress.reset(task, total=of)
            line = words if done is None else f"{words}: {done}/{of}"
            progress.update(task, description=line, completed=done, total=of)
            now = time.monotonic()
            if not console.is_terminal and now - printed >= every:
                printed = now
                left = progress.tasks[0].time_remaining
                rest = f"; {duration(left)} left" if left else ""
                console.print(f"{line}{rest}", markup=False, soft_wrap=True)

        yield report


def say(line: str) -> None:
    """Print a line on standard error, above the spinner that may be there."""
    print(line, file=sys.stderr)  # typer.echo would write into the spinner's line


def shown(path: str) -> str:
    """Return a path as a terminal can show it: undecodable and control characters are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path)


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def require_none_failed(failures: Iterable[str]) -> None:
    """Print each failure on standard error; if there is any, end with the exit code for it."""
    if lines := [*map(shown, failures)]:
        say("\n".join(lines))
        raise typer.Exit(ExitCode.SOME_FAILED)


def print_wide(content: Any) -> None:
    """Print something of rich that has columns."""
    from rich.console import Console

    console = Console()
    (console if console.is_terminal else Console(width=_WIDTH)).print(content)


def print_values(values: Mapping[str, Any], unknown: str = "not recorded") -> None:
    """Print a line for each value, beside its key; ``unknown`` stands for None."""
    for key, value in values.items():
        text = value
        if isinstance(value, Mapping):
            text = ", ".join(f"{name.replace('_', ' ')} {part}" for name, part in value.items())
        elif isinstance(value, list):
            text = "; ".join(map(str, value))
        typer.echo(f"{key.replace('_', ' ') + ':':<24}{unknown if value is None else text}")


def print_table(
    title: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    caption: str | None = None,
    *,
    text_columns: Collection[int] = (0,),
) -> None:
    """Print a table, whose columns are numbers but for ``text_columns``; of no rows, the title."""
    from rich.table import Table

    table = Table(title=title, caption=caption)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place in text_columns else "right")
    for row in rows:
        table.add_row(*row)
    print_wide(table if table.row_count else title)
