"""``recognizer calibrate``: the same network, calibrated on other photos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli import options
from recognizer.cli.options import require_extra
from recognizer.cli.progress import print_table, show_stage
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from recognizer.model.bundle import Bundle


def command(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder or name.")],
    output: options.NewBundleOption,
    data: options.OptionalDataOption = None,
    out_of_fold: options.OutOfFoldOption = None,
) -> None:
    """Fit calibration and thresholds again, on photos that the bundle was not trained on.

    With --data these are the photos of the split `validation`, with --out-of-fold all training
    photos, each scored by a network that left its source out.
    """
    require_extra("evaluate")
    from recognizer.dataset.manifest import load_data
    from recognizer.engine import Recognizer
    from recognizer.evaluation.calibrate import calibrate_bundle
    from recognizer.evaluation.evaluate import photos_of_split
    from recognizer.model.folders import check_output

    recognizer = Recognizer.load(bundle)
    check_output(output)  # before any work is done
    if (data is None) == (out_of_fold is None):
        raise UsageError("give --data or --out-of-fold")
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
    _print_calibration(made)
    typer.echo(f"Wrote {output}", err=True)


def _print_calibration(bundle: Bundle) -> None:
    from recognizer.policy import FALSE_POSITIVE_RATES

    rows = []
    for label in bundle.labels:
        thresholds = (label.thresholds.get(rate) for rate in FALSE_POSITIVE_RATES)
        fit = (str(label.fit.positives), label.fit.method) if label.fit else ("-", "-")
        rows.append([label.name, *fit, *("-" if t is None else f"{t:.4f}" for t in thresholds)])
    photos = bundle.calibration.photos if bundle.calibration else 0
    print_table(
        f"{bundle.title}, calibrated on {photos} photos",
        ("", "photos", "method", *(f"at {rate:.1%}" for rate in FALSE_POSITIVE_RATES)),
        rows,
    )
