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
from recognizer.cli.progress import new_table, show_stage, wide_console
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
    from recognizer.policy import FALSE_POSITIVE_RATES

    photos = bundle.calibration.photos if bundle.calibration else 0
    table = new_table(
        f"{bundle.title}, calibrated on {photos} photos",
        ("", "photos", "method", *(f"at {rate:.1%}" for rate in FALSE_POSITIVE_RATES)),
    )
    for label in bundle.labels:
        thresholds = (label.thresholds.get(rate) for rate in FALSE_POSITIVE_RATES)
        fit = (str(label.fit.positives), label.fit.method) if label.fit else ("-", "-")
        table.add_row(label.name, *fit, *("-" if t is None else f"{t:.4f}" for t in thresholds))
    wide_console().print(table)
