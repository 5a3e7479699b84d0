"""``recognizer export``: a finished run becomes a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli.options import (
    DataOption,
    JsonOption,
    NewBundleOption,
    print_json,
    require_extra,
)
from recognizer.cli.progress import show_stages
from recognizer.cli.train import read_data
from recognizer.errors import UsageError
from recognizer.model.folders import bundle_title


def command(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN",
            help="The folder of a finished run. Of several that differ only in their seed, the "
            "mean of the weights is exported.",
        ),
    ],
    data: DataOption,
    output: NewBundleOption,
    enroll: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A product whose photos the recipe left out: they are enrolled in the bundle, "
            "each scored by a head that had not seen it. May be repeated.",
        ),
    ] = None,
    notes: Annotated[
        Path | None,
        typer.Option(
            help="Markdown for the card: what is known about the data and about failures."
        ),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Export a run to ONNX, calibrate it, measure it on the test split and write its card."""
    from rich.console import Console

    require_extra("train")
    from recognizer.cli.evaluate_output import print_evaluation
    from recognizer.enrolment.enroll import MIN_PHOTOS
    from recognizer.evaluation.held_out import SPLIT_CAVEATS
    from recognizer.training.export import Enrolling, export_bundle
    from recognizer.training.runs import check_data, load_run

    title = bundle_title(output)
    network, config, labels = load_run(*runs)
    console = Console(stderr=True)
    with show_stages(console) as stage:
        stage("reading the data")
        text = _text(notes) if notes else ""
        photos = read_data(data, config)
        check_data(runs[0], photos)
        release = export_bundle(
            network,
            config,
            labels,
            photos,
            output,
            averaged=len(runs),
            enroll={
                name: Enrolling(function=partial(_enroll, name, title), min_photos=MIN_PHOTOS)
                for name in enroll or ()
            },
            notes=text,
            on_stage=stage,
        )
    if as_json:
        print_json(
            {
                "bundle": release.path,
                "precision": release.precision,
                "test": release.measured.test,
                "validation": release.measured.seen,
            }
        )
    else:
        print_evaluation(release.measured.test, SPLIT_CAVEATS["test"])
        print_evaluation(release.measured.seen, SPLIT_CAVEATS["validation"])
    lost = max(release.measured.lost.values(), default=0.0)
    console.print(
        f"{release.path}: {release.precision} (int8 loses at most {lost:.4f} average precision)"
    )


def _enroll(
    name: str, title: tuple[str, int], draft: Path, photos: Sequence[str], output: Path
) -> list[str]:
    from recognizer.engine import Recognizer
    from recognizer.enrolment import Product, enroll

    done = enroll(Recognizer.load(draft), Product(name=name), photos, output, title=title)
    return [*done.notes, *(f"skipped: {why}" for why in done.unreadable.values())]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--notes {path}: {error}") from error
