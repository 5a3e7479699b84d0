"""``recognizer rows``: the rows of a scan as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli.options import JournalArgument
from recognizer.cli.progress import working


def command(
    journal: JournalArgument,
    to: Annotated[Path, typer.Option("--to", help="The table to write: a .csv or .parquet file.")],
) -> None:
    """Write the last row of each image as CSV or Parquet (extra: parquet).

    docs/rows.md describes the columns. The file takes its place in one step.
    """
    from recognizer.rows.table_files import write_table

    with working(f"Writing {to}"):
        count = write_table(journal, to)
    typer.echo(f"Wrote {to}: {count:,} rows")
