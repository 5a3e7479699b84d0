"""``recognizer calibrate``: the same network, calibrated on other photos."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from recognizer.cli import options
from recognizer.cli.inputs import open_reviewed, read_original
from recognizer.cli.options import require_extra
from recognizer.cli.progress import print_table, require_none_failed, show_stage
from recognizer.dataset.manifest import load_data, load_photos
from recognizer.dataset.out_of_fold import read_out_of_fold
from recognizer.engine import Recognizer
from recognizer.errors import UsageError
from recognizer.model.bundle import Bundle
from recognizer.model.folders import check_output
from recognizer.policy import FALSE_POSITIVE_RATES
from recognizer.review.decided import sample_weights, write_dataset

_MIN_NEGATIVES = 100  # of fewer, not even one is the 1 % that the default policy lets pass


def command(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder or name.")],
    output: options.NewBundleOption,
    data: options.OptionalDataOption = None,
    out_of_fold: options.OutOfFoldOption = None,
    scan: options.OptionalScanOption = None,
    outcomes: options.OutcomesOption = None,
    allow_http: options.AllowHttpOption = False,
) -> None:
    """Fit calibration and thresholds again, on photos that the bundle was not trained on.

    With --data these are the photos of the split `validation`, with --out-of-fold all training
    photos, each scored by a network that left its source out. With --scan they are the images that
    reviewers decided on: each lead stands for the leads of its level, and each image of the audit
    sample, which is required, for the cleared ones like it. The exit code is then 3 if an image
    could not be read.
    """
    require_extra("evaluate")
    from recognizer.evaluation.calibrate import calibrate_bundle
    from recognizer.evaluation.evaluate import photos_of_split

    recognizer = Recognizer.load(bundle)
    check_output(output)  # before any work is done
    if [data, out_of_fold, scan].count(None) != 2 or (outcomes and not scan):
        raise UsageError("give one of --data, --out-of-fold and --scan; --outcomes needs --scan")
    missing: dict[str, str] = {}
    if scan is not None:
        made, missing = _calibrate_by_outcomes(recognizer, scan, outcomes, output, allow_http)
    elif out_of_fold is not None:
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
    require_none_failed(f"{source}: not used: {why}" for source, why in missing.items())


def _calibrate_by_outcomes(
    recognizer: Recognizer, scan: Path, outcomes: Path | None, output: Path, allow_http: bool
) -> tuple[Bundle, dict[str, str]]:
    """Return the new bundle, and the images that could not be used, each with the reason."""
    from recognizer.evaluation.calibrate import calibrate_bundle

    with (
        tempfile.TemporaryDirectory() as scratch,
        open_reviewed(scan, outcomes) as (file, found_out),
        show_stage("scoring the decided images") as progress,
    ):
        folder = Path(scratch) / "decided"
        read = partial(read_original, allow_http=allow_http)
        report = write_dataset(file, found_out, folder, read)
        if not report.labels:
            raise UsageError(f"no image of {scan} was confirmed or rejected")
        photos = load_photos(folder, recognizer.bundle.taxonomy)
        weights = sample_weights(file, {photo.sha256 for photo in photos})
        photos = [photo for photo in photos if photo.sha256 in weights]
        stands_for = np.array([weights[photo.sha256] for photo in photos])
        made = calibrate_bundle(
            recognizer, photos, output, on_progress=progress, weights=stands_for
        )
    return made, report.missing


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
