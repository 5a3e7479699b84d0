"""``recognizer rows``: the rows of a scan as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    journal: Annotated[Path, typer.Argument(help="The rows of a scan (JSONL).")],
    to: Annotated[
        Path, typer.Option("--to", help="The table: a name that ends in .csv or .parquet.")
    ],
) -> None:
    """Write the last row of each photo as CSV or Parquet (extra: parquet).

    docs/rows.md says what the columns hold. The file takes its place in one step.
    """
    from rich.console import Console  # noqa: PLC0415 - heavy imports wait for the verb

    from recognizer.rows.tables import write_table  # noqa: PLC0415

    with Console(stderr=True).status(f"writing {to}"):
        count = write_table(journal, to)
    typer.echo(f"written: {to}, {count:,} rows")
