"""``recognizer duplicates``: the groups of near-copies among a scan's photos."""

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
            "--distance", min=0, max=31, help="Bits of 256 in which near-copies differ at most."
        ),
    ] = None,
    json_lines: Annotated[
        bool, typer.Option("--json", help="One JSON object for each group, on a line.")
    ] = False,
) -> None:
    """List the groups of near-copies: the same picture, resized, recompressed, hardly cropped.

    Photos of one object that were taken apart are no near-copies. All rows stay in the journal.
    """
    from rich.console import Console  # noqa: PLC0415 - heavy imports wait for the verb

    from recognizer.cli.scan_output import shown  # noqa: PLC0415
    from recognizer.known import COPY_DISTANCE  # noqa: PLC0415
    from recognizer.review.queue import group_lines, last_rows  # noqa: PLC0415

    with Console(stderr=True).status(f"comparing the photos of {journal}"):
        groups = group_lines(journal, COPY_DISTANCE if distance is None else distance)
    members: dict[int, list[dict[str, object]]] = {}
    photos = 0
    for number, row in last_rows(journal):
        photos += 1
        if number in groups:
            keys = ("source", "item", "sha256", "phash", "decision")
            members.setdefault(groups[number], []).append({key: row.get(key) for key in keys})
    for count, group in enumerate(members.values(), 1):
        if json_lines:
            typer.echo(json.dumps({"photos": group}))
        else:
            typer.echo(f"{count}: {len(group)} near-copies")
            for photo in group:
                typer.echo(f"  {photo['decision'] or 'not scored'}  {shown(str(photo['source']))}")
    if not json_lines:
        copies = len(groups) - len(members)
        typer.echo(f"{photos} photos, {len(members)} groups, {copies} copies of others")
