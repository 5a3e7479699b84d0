"""``recognizer calibrate``: the same network, calibrated on other photos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli.options import (
    JsonOption,
    NewBundleOption,
    OptionalDataOption,
    OutOfFoldOption,
    ThreadsOption,
    load_data,
    print_json,
    require_extra,
)
from recognizer.cli.progress import show_stage, wide_console
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from recognizer.model.bundle import Bundle


def command(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder or name.")],
    output: NewBundleOption,
    data: OptionalDataOption = None,
    out_of_fold: OutOfFoldOption = None,
    threads: ThreadsOption = 1,
    *,
    as_json: JsonOption = False,
) -> None:
    """Fit calibration and thresholds again, on photos that the bundle was not trained on.

    These are the photos of the split `validation`. With --out-of-fold they are all training photos,
    each scored by a network that left its source out.
    """
    require_extra("evaluate")
    from recognizer.engine import Recognizer
    from recognizer.evaluation.calibrate import calibrate_bundle
    from recognizer.evaluation.held_out import photos_of_split
    from recognizer.model.folders import check_output

    recognizer = Recognizer.load(bundle, threads=threads)
    check_output(output)  # before any work is done
    if (data is None) == (out_of_fold is None):
        raise UsageError("give either --data or --out-of-fold")
    if out_of_fold is not None:
        from recognizer.dataset.out_of_fold import read_out_of_fold

        found = read_out_of_fold(out_of_fold)
        log_odds = found.columns(recognizer.labels, recognizer.bundle.title)
        made = calibrate_bundle(recognizer, found.photos, output, log_odds=log_odds)
    else:
        photos = load_data(data or [], recognizer.bundle.taxonomy)
        held_out = photos_of_split(photos, "validation")
        with show_stage("scoring the validation split") as progress:
            made = calibrate_bundle(recognizer, held_out, output, on_progress=progress)
    if as_json:
        print_json({"bundle": made.title, "calibration": made.calibration, "labels": made.labels})
    else:
        _print_calibration(made)
    typer.echo(f"Wrote {output}", err=True)


def _print_calibration(bundle: Bundle) -> None:
    from rich.table import Table

    from recognizer.policy import FALSE_POSITIVE_RATES

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
    wide_console().print(table)
