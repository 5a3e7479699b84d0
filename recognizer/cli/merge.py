"""``recognizer merge``: one journal from many."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli.options import JournalsArgument, output_option
from recognizer.cli.progress import working


def command(
    journals: JournalsArgument,
    output: Annotated[Path, output_option("The merged journal; it may be one of those merged.")],
    allow_mixed: Annotated[
        bool,
        typer.Option(
            "--allow-mixed",
            help="Also merge rows of several models, policies, banks or versions of the "
            "preprocessing, although they cannot be compared.",
        ),
    ] = False,
) -> None:
    """Merge the journals of shards (scan --shard), or of separate scans.

    Of each image the latest row counts. Thumbnails and embeddings are merged too. The journals
    stay as they are.
    """
    from recognizer.rows import merge

    with working(f"Merging {len(journals)} journals"):
        merged = merge(journals, output, allow_mixed=allow_mixed)
    typer.echo(
        f"Wrote {output}: {merged.rows:,} rows, {merged.superseded:,} superseded by later ones, "
        f"{merged.thumbnails:,} thumbnails, {merged.embeddings:,} embeddings"
    )
