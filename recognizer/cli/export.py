"""``recognizer export``: a trained recipe becomes a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli.options import (
    DataOption,
    JsonOption,
    NewBundleOption,
    load_data,
    print_json,
    require_extra,
)
from recognizer.cli.progress import show_stages
from recognizer.cli.train import CacheOption
from recognizer.errors import UsageError
from recognizer.model.folders import bundle_title


def command(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="The folder of a recipe that was trained.")
    ],
    data: DataOption,
    output: NewBundleOption,
    notes: Annotated[
        Path | None,
        typer.Option(
            help="Markdown for the card: what is known about the data and about failures."
        ),
    ] = None,
    spdx_license: Annotated[
        str | None,
        typer.Option(
            "--license",
            metavar="SPDX",
            help="The licence of the bundle, as Apache-2.0.",
            show_default="not stated",
        ),
    ] = None,
    cache: CacheOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Export to ONNX, set thresholds, measure on the test split and write the model card."""
    from rich.console import Console

    require_extra("train")
    from recognizer.cli.evaluate import print_evaluation
    from recognizer.evaluation.evaluate import SPLIT_CAVEATS
    from recognizer.evaluation.out_of_fold import SPLIT_CAVEATS as OUT_OF_FOLD
    from recognizer.training.export import export_bundle
    from recognizer.training.runs import open_recipe, read_recipe

    bundle_title(output)
    console = Console(stderr=True)
    with show_stages(console) as stage:
        stage("reading the data")
        text = _text(notes) if notes else ""
        with (recipe := open_recipe(read_recipe(run), load_data(data), run, cache)).cache:
            release = export_bundle(
                recipe, run, output, notes=text, spdx_license=spdx_license, on_stage=stage
            )
    if as_json:
        print_json(
            {
                "bundle": release.path,
                "precision": release.precision,
                "test": release.test,
                "out_of_fold": release.unseen.whole,
            }
        )
    else:
        print_evaluation(release.test, SPLIT_CAVEATS["test"])
        print_evaluation(release.unseen.whole, OUT_OF_FOLD)
    lost = max(release.lost.values(), default=0.0)
    console.print(
        f"{release.path}: {release.precision} (int8 loses at most {lost:.4f} average precision)"
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--notes {path}: {error}") from error
