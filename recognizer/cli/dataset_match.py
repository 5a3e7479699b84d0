"""``recognizer dataset match``: the splits of a published list, from a folder of its photos."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli import SomeInputsFailedError
from recognizer.cli.options import JsonOption, count_photos, output_option, print_json
from recognizer.cli.progress import new_table, show_stage, wide_console
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from recognizer.dataset.published import Match


def match(
    table: Annotated[
        Path,
        typer.Argument(metavar="LIST.csv", help="A published list of hashes (CSV)."),
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The folder with the photos, in any order.")
    ],
    output: Annotated[
        Path | None,
        output_option("Write manifest.csv with the list's splits here."),
    ] = None,
    *,
    corrected: Annotated[
        bool,
        typer.Option("--corrected", help="Use corrected labels, and leave out excluded photos."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a folder against a published list of photos, and rebuild the list's splits.

    Photos are found by their content, whatever the files are called. The exit code is 3 if any is
    missing.
    """
    from recognizer.dataset.manifest import MANIFEST
    from recognizer.dataset.new_manifest import write_manifest
    from recognizer.dataset.published import match_folder, read_published

    if output is not None and (output / MANIFEST).exists():
        raise UsageError(f"{output / MANIFEST} exists already: name another folder, or delete it")
    photos = read_published(table, corrected=corrected)
    with show_stage("reading photos") as progress:
        found = match_folder(photos, folder, progress)
    if as_json:
        print_json(
            {
                "found": count_photos(found.found),
                "missing": count_photos(found.missing),
                "others": found.others,
                "unreadable": found.unreadable,
            }
        )
    else:
        _print_match(found)
    if output is not None and found.found:
        output.mkdir(parents=True, exist_ok=True)
        typer.echo(f"Wrote {write_manifest(found.found, output)}", err=True)
    if found.missing or found.unreadable:
        raise SomeInputsFailedError


def _print_match(found: Match) -> None:
    here = Counter((p.label, p.split) for p in found.found)
    every = here + Counter((p.label, p.split) for p in found.missing)
    splits = [s for s in ("train", "validation", "test") if any(split == s for _, split in every)]
    title = f"{sum(here.values()):,} of {sum(every.values()):,} photos are here"
    table = new_table(title, ("label", *splits), "photos here / in the list")
    for label in sorted({label for label, _ in every}):
        pairs = [(label, split) for split in splits]
        table.add_row(label, *(f"{here[p]} / {every[p]}" if every[p] else "-" for p in pairs))
    wide_console().print(table)
    typer.echo(f"{found.others:,} other files are not in the list")
    for line in found.unreadable:
        typer.echo(f"Left out: {line}", err=True)
