"""``recognizer calibrate``: the same network, calibrated on other photos."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli.progress import show_progress
from recognizer.cli.train import DataOption

if TYPE_CHECKING:
    from recognizer.model.bundle import Bundle


def command(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder or name.")],
    data: DataOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle: a folder NAME-vN.")],
    threads: Annotated[int, typer.Option(help="Threads of one pass.", min=1)] = 1,
) -> None:
    """Choose and fit each label's calibration, and the thresholds, on photos it was not trained on.

    These are the photos of the split `validation`; if there are none, those that the bundle's
    training held out.
    """
    from rich.console import Console  # noqa: PLC0415 - heavy imports wait for the verb

    from recognizer.cli.extras import require_extra  # noqa: PLC0415

    require_extra("evaluate")
    from recognizer.dataset.manifest import load_photos  # noqa: PLC0415
    from recognizer.evaluation.calibrate import calibrate_bundle  # noqa: PLC0415
    from recognizer.evaluation.held_out import photos_of_split  # noqa: PLC0415
    from recognizer.model.folders import check_output  # noqa: PLC0415
    from recognizer.recognizer import Recognizer  # noqa: PLC0415

    recognizer = Recognizer.load(bundle, threads=threads)
    check_output(output)  # before any work is done
    photos = [photo for folder in data for photo in load_photos(folder)]
    held_out = [p for p in photos if p.split == "validation"]
    held_out = held_out or photos_of_split(recognizer.bundle, photos, "validation")
    console = Console(stderr=True)
    with show_progress(console) as report:
        made = calibrate_bundle(
            recognizer,
            held_out,
            output,
            on_progress=partial(report, "scoring the validation split"),
        )
    _print_calibration(made)
    console.print(f"Wrote {output}")


def _print_calibration(bundle: Bundle) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from recognizer.policy import FALSE_POSITIVE_RATES  # noqa: PLC0415

    fits = [label.fit for label in bundle.labels if label.fit]
    # An enrolled label keeps its own calibration: no methods were compared.
    methods = next((list(fit.log_loss) for fit in fits if fit.log_loss), [])
    photos = bundle.calibration.photos if bundle.calibration else 0
    table = Table(
        title=f"{bundle.title}, calibrated on {photos} photos",
        caption="log-loss x 1000 on photos that the fit did not see; labels with few photos share",
    )
    for heading in ("", "photos", "method", *methods):
        table.add_column(heading, justify="left" if heading in {"", "method"} else "right")
    for rate in FALSE_POSITIVE_RATES:
        table.add_column(f"at {rate:.1%}", justify="right")
    for label, fit in zip(bundle.labels, fits, strict=True):
        table.add_row(
            label.name,
            str(fit.positives),
            fit.method,
            *(f"{1000 * fit.log_loss[m]:.2f}" if fit.log_loss else "-" for m in methods),
            *(f"{t:.4f}" if (t := label.thresholds.get(r)) else "-" for r in FALSE_POSITIVE_RATES),
        )
    console = Console()
    console = console if console.is_terminal else Console(width=140)
    console.print(table)
