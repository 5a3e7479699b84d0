"""What a long command is doing, and how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

LINE_EVERY = 10.0
"""Seconds between two lines of progress, where nobody watches a bar."""


@contextmanager
def told_stages(console: Console) -> Iterator[Callable[[str], None]]:
    """Give a function that tells a stage: beside a spinner, or as a line where nobody watches."""
    from rich.markup import escape  # noqa: PLC0415 - heavy imports wait for the verb

    with console.status("") as status:

        def tell(words: str) -> None:
            status.update(escape(words))
            if not console.is_terminal:
                console.print(words, markup=False, soft_wrap=True)

        yield tell


@contextmanager
def told_progress(
    console: Console, *, transient: bool = False
) -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that tells how many of a stage's things are done, and their number.

    Args:
        console: where it is told: as bars on a terminal, elsewhere as a line now and then.
        transient: whether the bars go away in the end.
    """
    from rich.progress import Progress  # noqa: PLC0415 - heavy imports wait for the verb

    told = time.monotonic()
    tasks: dict[str, TaskID] = {}
    with Progress(console=console, transient=transient, disable=not console.is_terminal) as bars:

        def tell(stage: str, done: int, of: int) -> None:
            nonlocal told
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage)
            bars.update(tasks[stage], completed=done, total=of)
            now = time.monotonic()
            if not console.is_terminal and now - told >= LINE_EVERY:
                told = now
                console.print(f"{stage}: {done}/{of}", markup=False, soft_wrap=True)

        yield tell
