"""``recognizer evidence``: a case folder of leads."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli import options
from recognizer.cli.inputs import bundle_behind, open_reviewed, read_original
from recognizer.cli.progress import require_none_failed, working
from recognizer.engine import Recognizer
from recognizer.model.description import counted
from recognizer.review.evidence import find_leads, write_case


def command(
    scan: options.ScanArgument,
    leads: Annotated[
        list[str] | None,
        typer.Option("--lead", help="An image: its source, or 8 digits of its sha256; repeatable."),
    ] = None,
    listings: Annotated[
        list[str] | None,
        typer.Option("--listing", help="All scored images of a listing, by its ID."),
    ] = None,
    output: Annotated[Path, options.output_option("The new folder of the case.")] = Path("case"),
    outcomes: options.OutcomesOption = None,
    bundle: options.RowsBundleOption = None,
    title: options.TitleOption = None,
    allow_http: options.AllowHttpOption = False,
) -> None:
    """Make a case, a BagIt bag: the originals, and what the model and people said of them.

    The exit code is 3 if an original could not be read. The case digest that is printed stands
    for every byte of the folder: note it elsewhere. Needs the extra `evidence`.
    """
    options.require_extra("evidence")
    with open_reviewed(scan, outcomes) as (file, found_out), working(f"Writing {output}"):
        rows = find_leads(file, leads or [], listings or [])
        digest, missing = write_case(
            rows,
            output,
            recognizer=Recognizer(bundle_behind(rows[0], bundle)),
            read=partial(read_original, allow_http=allow_http),
            outcomes_of=lambda row: found_out.about(row.sha256, file.name_of(row)),
            scan=scan.name,
            title=title,
        )
    written = {row.sha256 for row in rows if row.source not in missing}
    typer.echo(f"Wrote {output}: {counted(len(written), 'image')}")
    typer.echo(f"Case digest: {digest}")
    require_none_failed(f"{source}: not in the case: {why}" for source, why in missing.items())
