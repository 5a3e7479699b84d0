"""``recognizer duplicates``: the groups of near-copies among a scan's images."""

from __future__ import annotations

from typing import Annotated

import typer

from recognizer.cli.options import (
    JsonLinesOption,
    ScanArgument,
    print_json,
)
from recognizer.cli.progress import working


def command(
    scan: ScanArgument,
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

    Two photos of one object are not near-copies. All of them keep their rows.
    """
    from recognizer.cli.scan_output import shown
    from recognizer.known import COPY_DISTANCE
    from recognizer.rows import ScanFile, find_copies

    with ScanFile(scan) as file, working(f"Comparing the images of {scan}"):
        count = len(file)
        groups = [*find_copies(file, COPY_DISTANCE if distance is None else distance)]
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
