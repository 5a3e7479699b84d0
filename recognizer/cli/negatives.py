"""``recognizer negatives``: give a bundle the bank of negatives that enrolment needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli.options import DataOption, load_data
from recognizer.cli.progress import show_stage


def command(
    folder: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="The bundle's folder, which is changed.")
    ],
    data: DataOption,
) -> None:
    """Add a bank of negatives to a bundle; `recognizer export` does so by itself.

    The photos must be those that the bundle was trained with: the same ones are held out.
    """
    from recognizer.evaluation.held_out import as_in_training
    from recognizer.model.bundle import load_bundle
    from recognizer.training.negative_bank import attach_bank

    photos = as_in_training(load_bundle(folder), load_data(data))
    with show_stage("embedding photos") as progress:
        attach_bank(folder, photos, on_progress=progress)
    if written := load_bundle(folder).negatives:
        typer.echo(
            f"{folder}: {written.photos} negatives, {written.held_out} of them held out, "
            f"{written.bytes / 1e6:.1f} MB",
            err=True,
        )
