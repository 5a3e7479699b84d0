"""``recognizer verify``: check that a case was not changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli import SomeInputsFailedError
from recognizer.cli.options import (
    JsonLinesOption,
    RowsBundleOption,
    bundles_behind,
    print_json,
)


def command(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="The folder of a case.")],
    bundle: RowsBundleOption = None,
    public_key: Annotated[
        Path | None,
        typer.Option(
            "--public-key", help="The key (PEM) of those who signed, as they handed it to you."
        ),
    ] = None,
    digest: Annotated[
        str | None,
        typer.Option(
            "--digest",
            help="The digest of the case, as it was noted elsewhere.",
        ),
    ] = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Check that nothing in a case was changed, who signed it, and that the photos score the same.

    The exit code is 3 where a check failed, or where the photos could not be scored again.
    """
    from recognizer import Recognizer
    from recognizer.cli.scan_output import shown
    from recognizer.errors import BundleNotFoundError
    from recognizer.model.bundle import bundle_behind
    from recognizer.review.evidence.manifest import read_manifest
    from recognizer.review.evidence.verify import Result, verify_case

    manifest, _ = read_manifest(case)
    recognizer = None
    try:
        title = "{name}-v{version}".format(**manifest.model)
        model = bundle_behind(title, str(manifest.model["digest"]), bundles_behind(bundle))
        recognizer = Recognizer(model)
    except BundleNotFoundError as error:
        typer.echo(str(error), err=True)
    bad = 0
    for check in verify_case(case, recognizer=recognizer, public_key=public_key, digest=digest):
        is_unsigned = check.subject == "signature" and check.result is Result.NOT_DONE
        bad += check.result is not Result.OK and not is_unsigned
        if json_lines:
            print_json(check, on_one_line=True)
        elif check.result is not Result.OK or check.subject not in {f.path for f in manifest.files}:
            typer.echo(f"{check.result:8}  {shown(check.subject)}: {shown(check.detail)}")
    if bad:
        typer.echo(f"{case}: {bad} checks failed or could not be done", err=True)
        raise SomeInputsFailedError
    if not json_lines:
        typer.echo(f"{case}: {len(manifest.files)} files unchanged")
