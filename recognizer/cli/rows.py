"""``recognizer rows``: the rows of a scan as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    journal: Annotated[Path, typer.Argument(help="The rows of a scan (JSONL).")],
    to: Annotated[Path, typer.Option("--to", help="The table to write: a .csv or .parquet file.")],
) -> None:
    """Write the last row of each image as CSV or Parquet (extra: parquet).

    docs/rows.md describes the columns. The file takes its place in one step.
    """
    from rich.console import Console  # noqa: PLC0415 - heavy imports wait for the verb

    from recognizer.rows.table_files import write_table  # noqa: PLC0415

    with Console(stderr=True).status(f"Writing {to}"):
        count = write_table(journal, to)
    typer.echo(f"Wrote {to}: {count:,} rows")
