"""``recognizer duplicates``: the groups of near-copies among a scan's images."""

from __future__ import annotations

from typing import Annotated

import typer

from recognizer.cli.options import (
    JournalArgument,
    JsonLinesOption,
    print_json,
)
from recognizer.cli.progress import working


def command(
    journal: JournalArgument,
    distance: Annotated[
        int | None,
        typer.Option(
            "--distance",
            min=0,
            max=31,
            help="Bits of 256 in which the hashes of near-copies differ at most.",
            show_default="20",
        ),
    ] = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """List near-copies: the same image, resized, recompressed or slightly cropped.

    Two photos of one object are not near-copies. All rows stay in the journal.
    """
    from recognizer.cli.scan_output import shown
    from recognizer.known import COPY_DISTANCE
    from recognizer.review.queue import find_copies

    with working(f"Comparing the images of {journal}"):
        count, groups = find_copies(journal, COPY_DISTANCE if distance is None else distance)
    for number, rows in enumerate(groups, 1):
        if json_lines:
            keys = ("source", "item", "sha256", "phash", "decision")
            images = [{key: row.to_json()[key] for key in keys} for row in rows]
            print_json({"images": images}, on_one_line=True)
        else:
            typer.echo(f"{number}: {len(rows)} near-copies")
            for row in rows:
                typer.echo(f"  {row.decision}  {shown(row.source)}")
    if not json_lines:
        copies = sum(map(len, groups)) - len(groups)
        typer.echo(f"{count:,} images, {len(groups):,} groups, {copies:,} copies of others")
