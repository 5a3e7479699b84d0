"""``recognizer verify``: check a case, or a journal by its chain."""

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
from recognizer.errors import UsageError


def command(
    case: Annotated[
        Path, typer.Argument(metavar="CASE|JOURNAL", help="The folder of a case, or a journal.")
    ],
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
            help="The digest of the case, or the link of the journal, as it was noted elsewhere.",
        ),
    ] = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Check that nothing in a case was changed, who signed it, and that the photos score the same.

    Of a journal: check that its rows are those that were written. Whoever can change a journal can
    also make its chain again; with --digest, a link that was kept elsewhere must be part of it.

    The exit code is 3 where a check failed, or where the photos could not be scored again.
    """
    if not case.is_dir():
        if bundle is not None or public_key is not None:
            raise UsageError(f"{case} is not a case: --bundle and --public-key are for cases")
        _verify_journal(case, digest, json_lines=json_lines)
        return
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


def _verify_journal(journal: Path, link: str | None, *, json_lines: bool) -> None:
    from recognizer.rows import verify_chain

    check = verify_chain(journal, kept=link)
    if json_lines:
        found = {
            "rows": check.last.rows,
            "link": check.last.sha256,
            "bytes_behind": check.bytes_behind,
            "problems": check.problems,
        }
        print_json(found, on_one_line=True)
    else:
        typer.echo(
            f"{journal}: the first {check.last.rows:,} rows are as they were written; their link "
            f"is {check.last.sha256}"
        )
        if check.kept is not None:
            typer.echo(f"The link that was kept stands for the first {check.kept.rows:,} rows")
        if check.bytes_behind:
            typer.echo(
                f"{check.bytes_behind:,} bytes behind the chain have no link yet: a scan is "
                "writing, or the next one will make it"
            )
        for problem in check.problems:
            typer.echo(f"{journal}: {problem}", err=True)
    if check.problems:
        raise SomeInputsFailedError
