"""``recognizer compare``: what changed between two scans."""

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli.decide import print_diff
from recognizer.cli.options import JsonOption, print_json
from recognizer.cli.progress import shown, working
from recognizer.rows import ScanFile
from recognizer.rows.deciding import compare


def command(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="The file of a scan.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="That of another.")],
    top: Annotated[int, typer.Option(min=0, help="How many of the largest changes to show.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show which decisions changed between two scans, and the images that changed most."""
    with ScanFile(before) as one, ScanFile(after) as other, working("Comparing"):
        found = compare(one, other, top=top)
    if as_json:
        print_json(found.to_json())
        return
    was, now = found.images
    typer.echo(f"{was:,} images before, {now:,} after, {found.common.rows:,} in both")
    if found.replaced:
        typer.echo(f"{found.replaced:,} have other bytes than before, and are not compared")
    print_diff(found.common)
    for change in found.changes:
        old, new = change.before, change.after
        typer.echo(f"{shown(new.source)}: {old.decision} to {new.decision}, {change.by:+.3f}")
        for sentence in new.why or old.why:
            typer.echo(f"    {'' if new.why else 'was '}{shown(sentence)}")
