"""``recognizer rows``: the rows of a scan as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli.options import JournalArgument, output_option
from recognizer.cli.progress import working


def command(
    journal: JournalArgument,
    output: Annotated[Path, output_option("The table to write: a .csv or .parquet file.")],
) -> None:
    """Write the last row of each image as CSV or Parquet (extra: parquet).

    The columns are the keys of the rows (recognizer scan --schema).
    """
    from recognizer.rows.table_files import write_table

    with working(f"Writing {output}"):
        count = write_table(journal, output)
    typer.echo(f"Wrote {output}: {count:,} rows")
