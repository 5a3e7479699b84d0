"""``recognizer rows``: the rows of a scan as a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli.options import JournalArgument, output_option
from recognizer.cli.progress import working


def _print_schema(is_asked: bool) -> None:
    if is_asked:
        from recognizer.rows import row_schema

        typer.echo(json.dumps(row_schema(), indent=2))
        raise typer.Exit


def command(
    journal: JournalArgument,
    output: Annotated[Path, output_option("The table to write: a .csv or .parquet file.")],
    schema: Annotated[  # noqa: ARG001 - its callback has printed it
        bool,
        typer.Option(
            "--schema",
            callback=_print_schema,
            is_eager=True,
            help="Print the JSON Schema of a row, and do nothing else.",
        ),
    ] = False,
) -> None:
    """Write the last row of each image as CSV or Parquet (extra: parquet).

    The columns are the keys of the rows (--schema).
    """
    from recognizer.rows.table_files import write_table

    with working(f"Writing {output}"):
        count = write_table(journal, output)
    typer.echo(f"Wrote {output}: {count:,} rows")
