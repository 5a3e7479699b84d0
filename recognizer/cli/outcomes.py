"""``recognizer outcomes``: what people found out about leads."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli import SomeInputsFailedError
from recognizer.cli.options import (
    AllowHttpOption,
    JournalOption,
    NewBundleOption,
    OptionalJournalOption,
    OriginOption,
    RowsBundleOption,
    ThreadsOption,
    bundles_behind,
    require_extra,
)
from recognizer.cli.originals import read_original
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from recognizer.model.bundle import Bundle

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Import, export and use what reviewers found out about leads.",
)


class Origin(StrEnum):
    """What writes files of outcomes."""

    RECOGNIZER = "recognizer"
    LABEL_STUDIO = "label-studio"


StoreArgument = Annotated[
    Path, typer.Argument(metavar="STORE", help="The store of outcomes (an SQLite file).")
]


@app.command("import")
def import_(
    store: StoreArgument,
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="JSON, JSON lines or CSV.")],
    from_: Annotated[
        Origin, typer.Option("--from", help="What wrote the files.")
    ] = Origin.RECOGNIZER,
    journal: OptionalJournalOption = None,
) -> None:
    """Add outcomes from files, such as those that the HTML queue saves. Known ones are skipped.

    With --journal, an outcome that names a listing and no image is about those images of the
    listing that are leads.
    """
    from recognizer.review.decided import about_images
    from recognizer.review.label_studio import read_export
    from recognizer.review.outcomes import OutcomeStore, read_outcomes

    outcomes, silent = [], 0
    for file in files:
        if from_ is Origin.LABEL_STUDIO:
            found, without = read_export(file)
            outcomes += found
            silent += without
        else:
            outcomes += read_outcomes(file)
    if silent:
        typer.echo(
            f"Skipped {silent} annotations that were cancelled or say no judgement", err=True
        )
    if journal is not None:
        outcomes = about_images(journal, outcomes)
    with OutcomeStore(store, create=True) as opened:
        new = opened.add(outcomes)
        typer.echo(f"{store}: {new} new, {len(opened)} in all")


@app.command()
def export(
    store: StoreArgument,
    output: Annotated[Path, typer.Argument(metavar="FILE", help="A .csv or .jsonl file.")],
) -> None:
    """Write all outcomes, in the order in which they were added, to a file."""
    from recognizer.review.outcomes import OutcomeStore, write_outcomes

    with OutcomeStore(store) as opened:
        count = write_outcomes(opened, output)
    typer.echo(f"Wrote {output}: {count} outcomes")


@app.command()
def verify(store: StoreArgument) -> None:
    """Check that no outcome was changed or removed since it was added."""
    from recognizer.review.outcomes import OutcomeStore

    with OutcomeStore(store) as opened:
        link = opened.verify()
        typer.echo(f"{store}: {len(opened)} outcomes, unchanged; last link {link or 'none'}")


@app.command()
def dataset(
    store: StoreArgument,
    output: Annotated[Path, typer.Argument(metavar="FOLDER", help="The new data folder.")],
    journal: JournalOption,
    allow_http: AllowHttpOption = False,
) -> None:
    """Write the confirmed and rejected photos, with a manifest, for `train` and `enroll`.

    The exit code is 3 if a photo could not be read.
    """
    from rich.console import Console

    from recognizer.cli.scan_output import shown
    from recognizer.review.decided import write_dataset
    from recognizer.review.outcomes import OutcomeStore

    with OutcomeStore(store) as opened, Console(stderr=True).status(f"Writing {output}"):
        report = write_dataset(
            journal, opened, output, lambda row: read_original(row, allow_http=allow_http)
        )
    for label, count in sorted(report.labels.items()):
        typer.echo(f"{count:6}  {label}")
    typer.echo(f"Wrote {output}: {report.labels.total()} photos")
    for source, why in report.missing.items():
        typer.echo(f"{shown(source)}: not written: {why}", err=True)
    if report.missing:
        raise SomeInputsFailedError


@app.command()
def bank(
    store: StoreArgument,
    bank: Annotated[
        Path, typer.Argument(metavar="BANK", help="A bank of known items; made if it is missing.")
    ],
    journal: JournalOption,
    origin: OriginOption = None,
) -> None:
    """Add the hashes of confirmed and rejected photos to a bank of known items."""
    from recognizer.known import Bank
    from recognizer.review.decided import known_items
    from recognizer.review.outcomes import OutcomeStore

    with OutcomeStore(store) as opened, Bank(bank, create=True) as target:
        new = target.add(known_items(journal, opened, origin))
        typer.echo(f"{bank}: {new} new, {len(target)} in all")


@app.command()
def calibrate(
    store: StoreArgument,
    output: NewBundleOption,
    journal: JournalOption,
    bundle: RowsBundleOption = None,
    threads: ThreadsOption = 1,
    allow_http: AllowHttpOption = False,
) -> None:
    """Calibrate the products of a bundle again, and their thresholds, on decided photos.

    Each decided lead stands for the leads of its level, and each decided photo of the audit sample
    for the cleared ones like it, so that probabilities and false-positive rates are those of the
    platform. Without an audit sample it is refused. The exit code is 3 if a photo could not be
    read. Needs the extra `evaluate`.
    """
    require_extra("evaluate")
    import tempfile

    import numpy as np

    from recognizer.cli.progress import show_stage, working
    from recognizer.cli.scan_output import shown
    from recognizer.dataset.manifest import load_photos
    from recognizer.engine import Recognizer
    from recognizer.evaluation.calibrate import calibrate_bundle
    from recognizer.model.folders import check_output
    from recognizer.review.decided import sample_weights, write_dataset
    from recognizer.review.outcomes import OutcomeStore

    check_output(output)  # before any work is done
    recognizer = Recognizer(load_model_behind(journal, bundle), threads=threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "decided"
        with OutcomeStore(store) as opened, working("Reading the photos"):
            report = write_dataset(
                journal, opened, folder, lambda row: read_original(row, allow_http=allow_http)
            )
        if not report.labels:
            raise UsageError(f"{store}: no photo of {journal} was confirmed or rejected")
        photos = load_photos(folder, recognizer.bundle.taxonomy)
        weights = sample_weights(journal, {photo.sha256 for photo in photos})
        photos = [photo for photo in photos if photo.sha256 in weights]
        with show_stage("Scoring the photos") as progress:
            made = calibrate_bundle(
                recognizer,
                photos,
                output,
                on_progress=progress,
                weights=np.array([weights[photo.sha256] for photo in photos]),
            )
    for source, why in report.missing.items():
        typer.echo(f"{shown(source)}: not used: {why}", err=True)
    stands_for = sum(weights.values())
    typer.echo(f"Wrote {output}: {made.title}, calibrated on {len(photos)} decided photos that")
    typer.echo(f"stand for {stands_for:,.0f} images; measure it before you trust it")
    if report.missing:
        raise SomeInputsFailedError


def load_model_behind(journal: Path, bundle: Sequence[str] | None) -> Bundle:
    """Return the model that made the rows of a scan."""
    from recognizer.model.bundle import bundle_behind
    from recognizer.rows.journal import JournalReader

    with JournalReader(journal) as reader:
        row = next((row for _, row in reader.rows()), None)
    if row is None:
        raise UsageError(f"{journal} has no rows")
    return bundle_behind(row.model.title, row.model.digest, bundles_behind(bundle))
