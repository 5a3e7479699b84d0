"""What a long command shows: its stages, its progress, and tables as wide as they need to be."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from recognizer.cli import SomeInputsFailedError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID
    from rich.status import Status
    from rich.table import Table

LINE_EVERY = 10.0  # seconds between two lines of progress where there is no terminal

_WIDTH = 150  # redirected into a file, a table must not be cut to a terminal's width


@contextmanager
def show_stages(console: Console, every: float = 0.0) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows a stage beside a spinner, or prints it elsewhere.

    There, one that comes less than ``every`` seconds after the last is not printed.
    """
    from rich.markup import escape

    printed = -every
    with console.status("") as status:

        def report(words: str) -> None:
            nonlocal printed
            status.update(escape(words))
            now = time.monotonic()
            if not console.is_terminal and now - printed >= every:
                printed = now
                console.print(words, markup=False, soft_wrap=True)

        yield report


@contextmanager
def show_progress(
    console: Console, *, transient: bool = False
) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that shows bars on a terminal, and prints a line now and then elsewhere."""
    from rich.progress import Progress

    printed = time.monotonic()
    tasks: dict[str, TaskID] = {}
    with Progress(console=console, transient=transient, disable=not console.is_terminal) as bars:

        def report(stage: str, done: int, of: int) -> None:
            nonlocal printed
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage)
            bars.update(tasks[stage], completed=done, total=of)
            now = time.monotonic()
            if not console.is_terminal and now - printed >= LINE_EVERY:
                printed = now
                console.print(f"{stage}: {done}/{of}", markup=False, soft_wrap=True)

        yield report


@contextmanager
def show_stage(words: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that reports the progress of one stage on standard error."""
    from rich.console import Console

    with show_progress(Console(stderr=True)) as report:
        yield partial(report, words)


def shown(path: str) -> str:
    """Return a path as a terminal can show it: undecodable and control characters are escaped."""
    text = path.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def duration(seconds: float) -> str:
    """Return a time span in words."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def require_none_failed(failures: Iterable[str]) -> None:
    """Print each failure on standard error; if there is one, end with the exit code for it."""
    has_failed = False
    for line in failures:
        typer.echo(shown(line), err=True)
        has_failed = True
    if has_failed:
        raise SomeInputsFailedError


def working(words: str) -> Status:
    """Return a context in which a terminal shows what is being done."""
    from rich.console import Console

    return Console(stderr=True).status(words)


def wide_console() -> Console:
    """Return a console for tables."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH)


def print_values(values: Mapping[str, Any], unknown: str = "not recorded") -> None:
    """Print a line for each value, beside its key; ``unknown`` stands for None."""
    for key, value in values.items():
        text = value
        if isinstance(value, Mapping):
            text = ", ".join(f"{name.replace('_', ' ')} {one}" for name, one in value.items())
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
    """Print a table, whose columns are numbers but for ``text_columns``."""
    table = new_table(title, headings, caption)
    for place in text_columns:
        table.columns[place].justify = "left"
    for row in rows:
        table.add_row(*row)
    wide_console().print(table)


def new_table(title: str, headings: Sequence[str], caption: str | None = None) -> Table:
    """Return a table whose first column is text and whose other columns are numbers."""
    from rich.table import Table

    table = Table(title=title, caption=caption)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left")
    return table
