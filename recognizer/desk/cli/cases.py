"""Case folders of leads: ``recognizer evidence`` makes one, ``verify`` checks it."""

from __future__ import annotations

import platform
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from recognizer.cli import ExitCode, options
from recognizer.cli.progress import require_none_failed, say, show_progress, shown
from recognizer.errors import BundleNotFoundError

if TYPE_CHECKING:
    from recognizer.engine import Recognizer
    from recognizer.model.description import ModelReference


def evidence_command(
    scan: options.ScanArgument,
    leads: Annotated[
        list[str] | None,
        Option("--lead", help="An image: its source, or 8 digits of its sha256; repeatable."),
    ] = None,
    listings: Annotated[
        list[str] | None, Option("--listing", help="All scored images of a listing, by its ID.")
    ] = None,
    output: Annotated[Path, options.output_option("The new folder of the case.")] = Path("case"),
    outcomes: options.OutcomesOption = None,
    bundle: options.RowsBundleOption = None,
    title: options.TitleOption = None,
    allow_http: options.AllowHttpOption = False,
) -> None:
    """Make a case, a BagIt bag: the originals, and what the model and people said of them.

    The exit code is 3 if an original could not be read. The case digest that is printed stands
    for every byte of the folder: note it elsewhere. Needs the extra `desk`.
    """
    from recognizer.cli.model import versions
    from recognizer.desk.evidence import PHOTOS, find_leads, write_case
    from recognizer.desk.outcomes import open_reviewed
    from recognizer.desk.photos import read_original
    from recognizer.engine import Recognizer
    from recognizer.errors import counted
    from recognizer.model.bundle import bundle_behind, bundles_behind

    options.require_extra("desk", "bagit")
    with open_reviewed(scan, outcomes) as (file, found_out), show_progress(f"Writing {output}"):
        rows = find_leads(file, leads or [], listings or [])
        digest, missing = write_case(
            rows,
            output,
            recognizer=Recognizer(bundle_behind(rows[0].model, bundles_behind(bundle))),
            read=partial(read_original, allow_http=allow_http),
            outcomes_of=lambda row: found_out.about(row.sha256, file.name_of(row)),
            thumbnail_of=file.thumbnail_of,
            scan=scan.name,
            title=title,
            made_with=versions() | {"system": platform.platform(), "machine": platform.machine()},
        )
    written = len([*output.glob(f"data/{PHOTOS}/*")])
    typer.echo(f"Wrote {output}: {counted(written, 'image')}\nCase digest: {digest}")
    require_none_failed(f"{source}: not in the case: {why}" for source, why in missing.items())


def verify_command(
    case: Annotated[Path, Argument(metavar="CASE", help="The folder of a case.")],
    bundle: options.RowsBundleOption = None,
    digest: Annotated[
        str | None, Option(help="The case digest, as noted elsewhere, or 8 digits of it.")
    ] = None,
) -> None:
    """Check that nothing in a case was changed, and that the photos score the same.

    The exit code is 3 if a check failed or could not be done. Without --digest, a case that was
    replaced as a whole goes unnoticed.
    """
    from recognizer.desk.evidence import ENOUGH_DIGITS, Result, verify_case
    from recognizer.engine import Recognizer
    from recognizer.errors import counted
    from recognizer.model.bundle import bundle_behind, bundles_behind

    def load(reference: ModelReference) -> Recognizer | None:
        try:
            return Recognizer(bundle_behind(reference, bundles_behind(bundle)))
        except BundleNotFoundError as error:
            say(shown(str(error)))
            return None

    results, lines = Counter[Result](), list[str]()
    with show_progress() as report:
        for check in verify_case(case, load, digest):
            results[check.result] += 1
            report(f"checking {case}: {counted(results.total(), 'check')} done")
            if check.result is not Result.OK or not check.detail.startswith("sha256 "):
                lines.append(f"{check.result:8}  {shown(check.subject)}: {shown(check.detail)}\n")
    typer.echo("".join(lines), nl=False)
    done = counted(results.pop(Result.OK, 0), "check")
    if results:
        bad = ", ".join(f"{counted(count, 'check')} {result}" for result, count in results.items())
        say(f"{case}: {bad}, listed above")
        raise typer.Exit(ExitCode.SOME_FAILED)
    if digest is not None and len(digest.strip()) >= ENOUGH_DIGITS:
        typer.echo(f"{case}: unchanged, {done}")
        return
    typer.echo(
        f"{case}: digests and scores agree, {done}. The page, heat-maps, decisions and outcomes "
        "were not made again: only --digest with all noted digits shows that nobody replaced them"
    )
