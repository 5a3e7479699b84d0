"""``recognizer export``: a trained recipe becomes a bundle."""

from pathlib import Path
from typing import Annotated

import typer

from recognizer._atomic import make_folder
from recognizer.cli import options
from recognizer.cli.progress import show_progress
from recognizer.dataset.manifest import load_data
from recognizer.errors import UsageError
from recognizer.model.folders import bundle_title


def command(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="The folder of a recipe that was trained.")
    ],
    data: options.DataOption,
    output: options.NewBundleOption,
    notes: Annotated[
        Path | None, typer.Option(help="Markdown for the card, on the data and on failures.")
    ] = None,
    spdx_license: Annotated[
        str | None,
        typer.Option("--license", metavar="SPDX", help="Its licence.", show_default="not stated"),
    ] = None,
) -> None:
    """Export to ONNX, set thresholds, measure on the test split and write the model card."""
    options.require_extra("train")
    from recognizer.cli.evaluate import print_evaluation
    from recognizer.training.export import export_bundle
    from recognizer.training.runs import open_recipe

    bundle_title(output)
    make_folder(output.parent)
    with show_progress(every=0) as stage:
        stage("reading the data")
        try:
            text = notes.read_text(encoding="utf-8") if notes else ""
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--notes {notes}: {error}") from error
        with (recipe := open_recipe(None, load_data(data), run)).cache:
            release = export_bundle(
                recipe, output, notes=text, spdx_license=spdx_license, on_stage=stage
            )
    print_evaluation(release.test)
    print_evaluation(release.unseen)
    words = "what int8 loses was not measured: a fold has too few photos of each product"
    if release.lost:
        words = f"int8 loses at most {max(release.lost.values()):.4f} average precision"
    typer.echo(f"{release.path}: {release.precision} ({words})", err=True)
