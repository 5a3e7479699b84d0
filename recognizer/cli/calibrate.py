"""``recognizer calibrate``: the same network, calibrated on other photos."""

from typing import Annotated

import typer

from recognizer.cli import options
from recognizer.cli.evaluate import load_held_out
from recognizer.cli.options import require_extra
from recognizer.cli.progress import print_table, show_stage
from recognizer.engine import Recognizer
from recognizer.model.bundle import Bundle
from recognizer.model.folders import check_output
from recognizer.policy import FALSE_POSITIVE_RATES

_MIN_NEGATIVES = 100  # of fewer, not even one is the 1 % that the default policy lets pass


def command(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder or name.")],
    output: options.NewBundleOption,
    data: options.DataOption,
) -> None:
    """Fit calibration and thresholds again, on photos that the bundle was not trained on.

    These are the photos of the split `validation`.
    """
    require_extra("evaluate")
    from recognizer.evaluation.calibrate import calibrate_bundle

    recognizer = Recognizer.load(bundle)
    check_output(output)  # before any work is done
    held_out = load_held_out(data, recognizer.bundle, "validation")
    with show_stage("scoring the validation split") as progress:
        made = calibrate_bundle(recognizer, held_out, output, on_progress=progress)
    _print_calibration(made)
    typer.echo(f"Wrote {output}", err=True)


def _print_calibration(bundle: Bundle) -> None:
    from recognizer.evaluation.figures import MIN_FOR_CALIBRATION

    rows = []
    for label in bundle.labels:
        thresholds = (label.thresholds.get(rate) for rate in FALSE_POSITIVE_RATES)
        fit = (str(label.fit.positives), label.fit.method) if label.fit else ("-", "-")
        rows.append([label.name, *fit, *("-" if t is None else f"{t:.4f}" for t in thresholds)])
    used = bundle.calibration
    assert used is not None  # noqa: S101 - it was just made
    print_table(
        f"{bundle.title}, calibrated on {used.photos} photos",
        ("", "photos", "method", *(f"at {rate:.1%}" for rate in FALSE_POSITIVE_RATES)),
        rows,
    )
    products = used.photos - used.negatives
    if products < MIN_FOR_CALIBRATION or used.negatives < _MIN_NEGATIVES:
        typer.echo(
            f"Warning: so few photos say little: {products} with a product (probabilities need "
            f"{MIN_FOR_CALIBRATION}) and {used.negatives} without (thresholds need "
            f"{_MIN_NEGATIVES}).",
            err=True,
        )
