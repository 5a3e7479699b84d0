"""``recognizer duplicates``: the groups of near-copies among a scan's images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def command(
    journal: Annotated[Path, typer.Argument(help="The rows of a scan (JSONL).")],
    distance: Annotated[
        int | None,
        typer.Option(
            "--distance",
            min=0,
            max=31,
            help="Bits of 256 in which the hashes of near-copies differ at most. Default: 20.",
        ),
    ] = None,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per group, on a line.")
    ] = False,
) -> None:
    """List near-copies: the same image, resized, recompressed or slightly cropped.

    Two photos of one object are not near-copies. All rows stay in the journal.
    """
    from rich.console import Console  # noqa: PLC0415 - heavy imports wait for the verb

    from recognizer.cli.scan_output import shown  # noqa: PLC0415
    from recognizer.known import COPY_DISTANCE  # noqa: PLC0415
    from recognizer.review.queue import find_copies  # noqa: PLC0415

    with Console(stderr=True).status(f"Comparing the images of {journal}"):
        count, groups = find_copies(journal, COPY_DISTANCE if distance is None else distance)
    for number, rows in enumerate(groups, 1):
        if json_lines:
            keys = ("source", "item", "sha256", "phash", "decision")
            images = [{key: row.to_json()[key] for key in keys} for row in rows]
            typer.echo(json.dumps({"images": images}))
        else:
            typer.echo(f"{number}: {len(rows)} near-copies")
            for row in rows:
                typer.echo(f"  {row.decision}  {shown(row.source)}")
    if not json_lines:
        copies = sum(map(len, groups)) - len(groups)
        typer.echo(f"{count:,} images, {len(groups):,} groups, {copies:,} copies of others")
