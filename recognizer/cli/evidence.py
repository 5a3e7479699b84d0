"""``recognizer evidence``: a case folder of leads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli import SomeInputsFailedError
from recognizer.cli.options import (
    AllowHttpOption,
    JournalArgument,
    OptionalOutcomesOption,
    RowsBundleOption,
    TitleOption,
    bundles_behind,
    output_option,
)
from recognizer.cli.originals import read_original


def command(
    journal: JournalArgument,
    leads: Annotated[
        list[str] | None,
        typer.Option(
            "--lead",
            help="An image: its sha256, at least the first 8 digits of it, or its source. May be "
            "given several times.",
        ),
    ] = None,
    listings: Annotated[
        list[str] | None,
        typer.Option("--listing", help="All scored images of a listing, by its identity."),
    ] = None,
    output: Annotated[Path, output_option("The folder of the case; it must not exist yet.")] = Path(
        "case"
    ),
    outcomes: OptionalOutcomesOption = None,
    bundle: RowsBundleOption = None,
    title: TitleOption = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            help="Sign with this Ed25519 key (openssl genpkey -algorithm ed25519 -out key.pem).",
        ),
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Also write the page as PDF.")] = False,
    allow_http: AllowHttpOption = False,
) -> None:
    """Make a case: the originals, what the model and people said of them, and all digests.

    The exit code is 3 if an original could not be read. The case digest that is printed stands
    for every byte of the folder: keep it somewhere else.
    """
    from contextlib import nullcontext

    from rich.console import Console

    from recognizer import Recognizer
    from recognizer.cli.scan_output import shown
    from recognizer.model.bundle import bundle_behind
    from recognizer.review.evidence.case import write_case
    from recognizer.review.evidence.leads import find_leads
    from recognizer.review.outcomes import OutcomeStore

    with Console(stderr=True).status(f"Writing {output}"):
        rows = find_leads(journal, leads or [], listings or [])
        recognizer = Recognizer(
            bundle_behind(rows[0].model.title, rows[0].model.digest, bundles_behind(bundle))
        )
        with nullcontext() if outcomes is None else OutcomeStore(outcomes) as store:
            manifest = write_case(
                rows,
                output,
                recognizer=recognizer,
                read=lambda row: read_original(row, allow_http=allow_http),
                journal=journal,
                outcomes=store,
                key=key,
                title=title,
                pdf=pdf,
            )
    typer.echo(f"Wrote {output}: {len(rows)} images, {len(manifest.files)} files")
    typer.echo(f"Case digest: {manifest.digest}")
    missing = [photo for photo in manifest.photos if photo.missing]
    for photo in missing:
        typer.echo(f"{shown(photo.source)}: not in the case: {photo.missing}", err=True)
    if missing:
        raise SomeInputsFailedError
