"""``recognizer merge``: one scan from many."""

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli.inputs import bundles_behind
from recognizer.cli.options import RowsBundleOption, output_option
from recognizer.cli.progress import working
from recognizer.rows import Ranking, merge


def command(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT", help="Scans, or Parquet files with rows (of a cluster)."),
    ],
    output: Annotated[Path, output_option("The merged file; it may be one of those merged.")],
    leads: Annotated[
        bool,
        typer.Option("--leads", help="Of Parquet files, leave out what is clear and not audited."),
    ] = False,
    allow_mixed: Annotated[
        bool,
        typer.Option(
            "--allow-mixed",
            help="Merge rows of several models, policies, banks or preprocessings all the same.",
        ),
    ] = False,
    bundle: RowsBundleOption = None,
) -> None:
    """Merge the shards of a scan (scan --shard), or separate scans, into one file.

    Of each image the latest row counts, and outcomes, thumbnails and embeddings are merged too. The
    inputs stay as they are.
    """
    with working(f"Merging {len(inputs)} files"):
        merged = merge(
            inputs,
            output,
            Ranking(bundles_behind(bundle)),
            allow_mixed=allow_mixed,
            only_pending=leads,
        )
    typer.echo(
        f"Wrote {output}: {merged.rows:,} rows, {merged.superseded:,} superseded by later ones, "
        f"{merged.outcomes:,} outcomes"
    )
