"""``recognizer evidence``: a case folder of leads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli import SomeInputsFailedError
from recognizer.cli.options import JournalArgument
from recognizer.cli.originals import read_original


def command(
    journal: JournalArgument,
    leads: Annotated[
        list[str] | None,
        typer.Option(
            "--lead",
            help="An image: its sha256, the first 8 digits of it or more, or its source. May be "
            "given several times.",
        ),
    ] = None,
    listings: Annotated[
        list[str] | None,
        typer.Option("--listing", help="All scored images of a listing, by its identity."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder of the case; it must not exist yet.")
    ] = Path("case"),
    outcomes: Annotated[
        Path | None,
        typer.Option("--outcomes", help="The store of outcomes with what reviewers found out."),
    ] = None,
    bundle: Annotated[
        str | None,
        typer.Option(
            "--bundle",
            "-b",
            help="The model that made the rows: a folder or a name. Default: found by its digest.",
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Default: the name of the folder.")] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            help="Sign with this Ed25519 key (openssl genpkey -algorithm ed25519 -out key.pem).",
        ),
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Write the page as PDF too.")] = False,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Fetch originals from the web again.")
    ] = False,
) -> None:
    """Make a case: the originals, what the model and people said of them, and all digests.

    The exit code is 3 where an original could not be had. The case digest that is printed stands
    for every byte of the folder: keep it somewhere else.
    """
    from contextlib import nullcontext

    from rich.console import Console

    from recognizer import Recognizer
    from recognizer.cli.scan_output import shown
    from recognizer.model.bundle import load_bundle_behind
    from recognizer.review.evidence.case import write_case
    from recognizer.review.evidence.leads import find_leads
    from recognizer.review.outcomes import OutcomeStore

    with Console(stderr=True).status(f"Writing {output}"):
        rows = find_leads(journal, leads or [], listings or [])
        recognizer = Recognizer(load_bundle_behind(rows[0].model.digest, bundle))
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
