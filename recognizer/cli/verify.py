"""``recognizer verify``: check that a case was not changed."""

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli import ExitCode
from recognizer.cli.inputs import bundles_behind
from recognizer.cli.options import RowsBundleOption
from recognizer.cli.progress import shown
from recognizer.engine import Recognizer
from recognizer.errors import BundleNotFoundError
from recognizer.model.bundle import bundle_behind
from recognizer.model.description import ModelReference, counted
from recognizer.review.verify import Result, verify_case


def command(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="The folder of a case.")],
    bundle: RowsBundleOption = None,
    digest: Annotated[
        str | None, typer.Option("--digest", help="The digest of the case, as noted elsewhere.")
    ] = None,
) -> None:
    """Check that nothing in a case was changed, and that the photos score the same.

    The exit code is 3 if a check failed or could not be done. Without --digest, a case that was
    made anew as a whole is not noticed.
    """

    def load(reference: ModelReference) -> Recognizer | None:
        try:
            found = bundle_behind(reference.title, reference.digest, bundles_behind(bundle))
        except BundleNotFoundError as error:
            typer.echo(shown(str(error)), err=True)
            return None
        return Recognizer(found)

    done = bad = 0
    for check in verify_case(case, load, digest):
        done += 1
        bad += check.result is not Result.OK
        if check.result is not Result.OK or not check.detail.startswith("sha256 "):
            typer.echo(f"{check.result:8}  {shown(check.subject)}: {shown(check.detail)}")
    if bad:
        typer.echo(f"{case}: {counted(bad, 'check')} failed or could not be done", err=True)
        raise typer.Exit(ExitCode.SOME_FAILED)
    typer.echo(f"{case}: unchanged, {counted(done, 'check')}")
