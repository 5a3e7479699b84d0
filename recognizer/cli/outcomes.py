"""``recognizer outcomes``: what people found out about leads."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli import options
from recognizer.cli.options import bundle_behind, open_reviewed, require_extra
from recognizer.cli.originals import read_original
from recognizer.cli.progress import require_none_failed, show_stage, working
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from recognizer.model.bundle import Bundle
    from recognizer.review.decided import DatasetReport
    from recognizer.rows import ScanFile

app = options.group("Import, export and use what reviewers found out about leads.")


class Origin(StrEnum):
    """What writes files of outcomes."""

    RECOGNIZER = "recognizer"
    LABEL_STUDIO = "label-studio"


@app.command("import")
def import_(
    scan: options.ScanArgument,
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="JSON, JSON lines or CSV.")],
    from_: Annotated[
        Origin, typer.Option("--from", help="What wrote the files.")
    ] = Origin.RECOGNIZER,
    outcomes: options.OutcomesOption = None,
) -> None:
    """Add outcomes from files, such as those that a report saves. Known ones are skipped.

    An outcome that names a listing of the scan and no image is about those images of the listing
    that are leads.
    """
    from recognizer.review.decided import about_images
    from recognizer.review.label_studio import read_export
    from recognizer.review.outcomes import Outcomes, read_outcomes
    from recognizer.rows import ScanFile

    target, silent = outcomes or scan, 0
    with ScanFile(scan) as file, Outcomes(target, write=True, create=True) as found_out:
        new = 0
        with found_out.file.transaction(), working(f"Reading {len(files)} files"):
            for path in files:
                if from_ is Origin.LABEL_STUDIO:
                    read, without = read_export(path)
                    silent += without
                    new += found_out.add(about_images(file, read))
                else:
                    new += found_out.add(about_images(file, read_outcomes(path)))
        total = len(found_out)
    if silent:
        typer.echo(
            f"Skipped {silent} annotations that were cancelled or say no judgement", err=True
        )
    typer.echo(f"{target}: {new:,} new, {total:,} in all")


@app.command()
def export(
    scan: options.ScanArgument,
    output: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .csv or .jsonl file, or - for JSON lines.")
    ],
    outcomes: options.OutcomesOption = None,
    raw: options.RawOption = False,
) -> None:
    """Write all outcomes, in the order in which they were added, to a file."""
    from recognizer.review.outcomes import Outcomes, write_outcomes

    with Outcomes(outcomes or scan) as found_out:
        if str(output) == "-":
            for outcome in found_out:
                typer.echo(outcome.to_json_line(), nl=False)
            return
        count = write_outcomes(found_out, output, raw=raw)
    typer.echo(f"Wrote {output}: {count:,} outcomes")


@app.command()
def dataset(
    scan: options.ScanArgument,
    output: Annotated[Path, typer.Argument(metavar="FOLDER", help="The new data folder.")],
    outcomes: options.OutcomesOption = None,
    allow_http: options.AllowHttpOption = False,
) -> None:
    """Write the confirmed and rejected images, with a manifest, for `train` and `enroll`.

    The exit code is 3 if an image could not be read.
    """
    from recognizer.review.decided import write_dataset

    with open_reviewed(scan, outcomes) as (file, found_out), working(f"Writing {output}"):
        report = write_dataset(
            file, found_out, output, lambda row: read_original(row, allow_http=allow_http)
        )
    for label, count in sorted(report.labels.items()):
        typer.echo(f"{count:6}  {label}")
    typer.echo(f"Wrote {output}: {report.labels.total()} images")
    _require_none_missing(report)


@app.command()
def calibrate(
    scan: options.ScanArgument,
    output: options.NewBundleOption,
    outcomes: options.OutcomesOption = None,
    bundle: options.RowsBundleOption = None,
    threads: options.ThreadsOption = 1,
    allow_http: options.AllowHttpOption = False,
) -> None:
    """Calibrate the products of a bundle again, and their thresholds, on decided images.

    Each decided lead stands for the leads of its level, and each decided image of the audit sample
    for the cleared ones like it, so that probabilities and false-positive rates are those of the
    platform. Without an audit sample it is refused. The exit code is 3 if an image could not be
    read. Needs the extra `evaluate`.
    """
    require_extra("evaluate")
    import tempfile

    import numpy as np

    from recognizer.dataset.manifest import load_photos
    from recognizer.engine import Recognizer
    from recognizer.evaluation.calibrate import calibrate_bundle
    from recognizer.model.folders import check_output
    from recognizer.review.decided import sample_weights, write_dataset

    check_output(output)  # before any work is done
    with (
        tempfile.TemporaryDirectory() as scratch,
        open_reviewed(scan, outcomes) as (file, found_out),
    ):
        recognizer = Recognizer(model_behind(file, bundle), threads=threads)
        folder = Path(scratch) / "decided"
        with working("Reading the images"):
            report = write_dataset(
                file, found_out, folder, lambda row: read_original(row, allow_http=allow_http)
            )
        if not report.labels:
            raise UsageError(f"no image of {scan} was confirmed or rejected")
        photos = load_photos(folder, recognizer.bundle.taxonomy)
        weights = sample_weights(file, {photo.sha256 for photo in photos})
        photos = [photo for photo in photos if photo.sha256 in weights]
        with show_stage("Scoring the images") as progress:
            made = calibrate_bundle(
                recognizer,
                photos,
                output,
                on_progress=progress,
                weights=np.array([weights[photo.sha256] for photo in photos]),
            )
    typer.echo(
        f"Wrote {output}: {made.title}, calibrated on {len(photos)} decided images that stand for "
        f"{sum(weights.values()):,.0f}; measure it before you trust it"
    )
    _require_none_missing(report)


def _require_none_missing(report: DatasetReport) -> None:
    require_none_failed(f"{source}: not used: {why}" for source, why in report.missing.items())


def model_behind(file: ScanFile, bundle: Sequence[str] | None) -> Bundle:
    """Return the model that made the rows of a scan."""
    row = next(file.rows(), None)
    if row is None:
        raise UsageError(f"{file.path} has no rows")
    return bundle_behind(row, bundle)
