"""What a long command is doing, one stage after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


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
