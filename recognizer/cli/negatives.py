"""``recognizer negatives``: give a bundle the bank of negatives that enrolment needs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli.progress import show_progress
from recognizer.cli.train import DataOption


def command(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder, which is changed.")],
    data: DataOption,
) -> None:
    """Add a bank of negatives to a bundle; `recognizer export` does so by itself.

    The photos must be those that the bundle was trained with: the same ones are held out.
    """
    from rich.console import Console  # noqa: PLC0415 - heavy imports wait for the verb

    from recognizer.dataset.manifest import load_photos  # noqa: PLC0415
    from recognizer.evaluation.held_out import as_in_training  # noqa: PLC0415
    from recognizer.model.bundle import load_bundle  # noqa: PLC0415
    from recognizer.training.negative_bank import attach_bank  # noqa: PLC0415

    photos = [photo for folder in data for photo in load_photos(folder)]
    photos = as_in_training(load_bundle(bundle), photos)
    console = Console(stderr=True)
    with show_progress(console) as report:
        attach_bank(
            bundle,
            photos,
            on_progress=partial(report, "embedding photos"),
        )
    if written := load_bundle(bundle).negatives:
        console.print(
            f"{bundle}: {written.photos} negatives, {written.held_out} of them held out, "
            f"{written.bytes / 1e6:.1f} MB"
        )
