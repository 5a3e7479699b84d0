"""``recognizer handover``: leads as tasks for Label Studio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli import SomeInputsFailedError
from recognizer.cli.options import ScanArgument, output_option
from recognizer.cli.progress import working

_MAX_SHOWN = 20  # sources that are listed


def command(
    scan: ScanArgument,
    output: Annotated[Path, output_option("The tasks to import into Label Studio (.json).")],
    config: Annotated[
        Path | None, typer.Option(help="Also write the labelling interface to this file (XML).")
    ] = None,
    photo_url: Annotated[
        str | None,
        typer.Option(
            help="Where a photo is served whose source is not a URL: a URL with {sha256}, {source} "
            "or {name} in it, such as https://photos.example/{sha256}."
        ),
    ] = None,
) -> None:
    """Write the leads of a scan as tasks for Label Studio.

    The exit code is 3 if some leads have no URL under which Label Studio finds the photo.
    """
    from recognizer._atomic import replacing, require_own
    from recognizer.cli.scan_output import shown
    from recognizer.model.bundle import load_bundle
    from recognizer.review.label_studio import labelling_config, write_tasks
    from recognizer.rows import ScanFile

    with ScanFile(scan) as file, working(f"Writing {output}"):
        tasks, without_url = write_tasks(file.rows("place < 2"), output, photo_url)
    typer.echo(f"Wrote {output}: {tasks} tasks")
    if config is not None:
        require_own(config, "labelling interface", lambda file: file.read(6) == b"<View>")
        with replacing(config) as partial:
            partial.write_text(labelling_config(load_bundle()), encoding="utf-8")
        typer.echo(f"Wrote {config}")
    for source in without_url[:_MAX_SHOWN]:
        typer.echo(f"{shown(source)}: no URL: give a --photo-url", err=True)
    if len(without_url) > _MAX_SHOWN:
        typer.echo(f"and {len(without_url) - _MAX_SHOWN} more", err=True)
    if without_url:
        raise SomeInputsFailedError
