"""``recognizer outcomes``: what people found out about leads."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli import SomeInputsFailedError
from recognizer.cli.options import AllowHttpOption, JournalOption, OriginOption
from recognizer.cli.originals import read_original

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
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="JSON, JSON lines or CSV.")
    ],
    from_: Annotated[
        Origin, typer.Option("--from", help="What wrote the files.")
    ] = Origin.RECOGNIZER,
) -> None:
    """Add outcomes from files, such as those that the HTML queue saves; the same one once."""
    from recognizer.review.handover.label_studio import read_export
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

    The exit code is 3 where a photo could not be had.
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
