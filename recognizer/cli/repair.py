"""``recognizer repair``: the whole rows of a damaged journal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli import SomeInputsFailedError
from recognizer.cli.options import JournalArgument, output_option
from recognizer.cli.progress import working

_SHOWN = 20  # damaged lines, each with a line of its own


def command(
    journal: JournalArgument,
    output: Annotated[
        Path | None,
        output_option(
            "The repaired journal.",
            show_default="in the place of the damaged one, which is kept as JOURNAL.damaged",
        ),
    ] = None,
) -> None:
    """Keep the whole rows of a journal that is torn, truncated or has NULs in it.

    Prints what is damaged and what was kept. The next scan of the same sources writes the missing
    rows again. The exit code is 3 if anything was dropped.
    """
    from recognizer.cli.scan_output import shown
    from recognizer.rows import repair

    with working(f"Reading {journal}"):
        done = repair(journal, output)
    for damage in done.damages[:_SHOWN]:
        typer.echo(f"line {damage.line} (byte {damage.offset}): {shown(damage.words)}", err=True)
    if len(done.damages) > _SHOWN:
        typer.echo(f"... and {len(done.damages) - _SHOWN:,} more damaged lines", err=True)
    for problem in done.chain:
        typer.echo(f"chain: {problem}", err=True)
    if done.missing:
        typer.echo(
            f"{done.missing:,} rows that were written are not there any more: the next scan of the "
            "same sources makes them again",
            err=True,
        )
    if not done.is_needed:
        typer.echo(f"{journal}: {done.rows:,} rows, nothing to repair")
        return
    kept = f"; the damaged journal is {done.backup}" if done.backup else ""
    typer.echo(f"Wrote {output or journal}: {done.rows:,} rows{kept}")
    if done.has_dropped:
        raise SomeInputsFailedError
