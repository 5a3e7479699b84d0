"""Case folders of leads: ``recognizer evidence`` makes one, ``verify`` checks it."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from recognizer.cli import ExitCode, options
from recognizer.cli.progress import require_none_failed, show_progress, shown
from recognizer.errors import UsageError


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
    number: Annotated[str | None, Option(help="The number of the case.")] = None,
    officer: Annotated[str | None, Option(help="Who is responsible for the case.")] = None,
) -> None:
    """Make a case, a BagIt bag: originals, scores, heat-maps and outcomes.

    The exit code is 3 if an original could not be read. The case digest that is printed stands
    for every byte of the folder: note it elsewhere. Needs the extra `desk`.
    """
    from recognizer.cli.model import versions
    from recognizer.desk.evidence import PHOTOS, find_leads, write_case
    from recognizer.desk.outcomes import open_reviewed
    from recognizer.desk.photos import original_reader
    from recognizer.engine import Recognizer
    from recognizer.errors import counted
    from recognizer.model.bundle import bundle_behind, bundles_behind

    options.require_extra("desk", "bagit")
    with open_reviewed(scan, outcomes) as (file, stored), show_progress(f"Writing {output}"):
        rows = find_leads(file, leads or [], listings or [])
        digest, missing = write_case(
            rows,
            output,
            recognizer=Recognizer(bundle_behind(rows[0].model, bundles_behind(bundle))),
            read=original_reader(file),
            outcomes_of=lambda row: stored.about(row.sha256, file.name_of(row)),
            thumbnail_of=file.thumbnail_of,
            listing_of=file.name_of,
            scan=scan.name,
            title=title,
            number=number,
            officer=officer,
            made_with=versions() | {"system": platform.platform(), "machine": platform.machine()},
        )
    written = len([*output.glob(f"data/{PHOTOS}/*")])
    typer.echo(f"Wrote {output}: {counted(written, 'image')}\nCase digest: {digest}")
    require_none_failed(f"{source}: not in the case: {why}" for source, why in missing.items())


def verify_command(
    case: Annotated[Path, Argument(metavar="CASE", help="The folder of a case.")],
    digest: Annotated[
        str | None, Option(help="The case digest, as noted elsewhere, or 8 digits of it.")
    ] = None,
) -> None:
    """Check that no file of a case was changed, removed or added since.

    The exit code is 3 if a check failed. Without --digest, a case that was replaced as a whole goes
    unnoticed. Needs the extra `desk`.
    """
    from recognizer.desk.evidence import DIGITS, TAG_MANIFEST, TAGS

    options.require_extra("desk", "bagit")
    import bagit

    if not case.is_dir():
        raise UsageError(f"{case} is not a folder")
    if digest is not None and not DIGITS.fullmatch(digest := digest.strip().lower()):
        raise UsageError(f"--digest {digest}: 8 to 64 hexadecimal digits, as `evidence` prints")
    flaws = [f"{p.name}: added later" for p in case.iterdir() if p.name not in {*TAGS, "data"}]
    flaws += [
        f"{path.relative_to(case)}: neither a regular file nor a folder"
        for path in case.rglob("*")
        if path.is_symlink() or not (path.is_file() or path.is_dir())
    ]
    try:
        found = hashlib.sha256((case / TAG_MANIFEST).read_bytes()).hexdigest()
        if digest is not None and not found.startswith(digest):
            flaws.append(f"the case digest is {found}, not {digest}: something was changed")
        if not flaws:  # a pipe would be waited for
            bag = bagit.Bag(str(case))
            bag.info.pop("Payload-Oxum", None)  # a sum, which names no file
            with show_progress(f"Checking {case}"):
                bag.validate()
    except bagit.BagValidationError as error:
        flaws += [str(detail) for detail in error.details] or [str(error)]
    except (bagit.BagError, OSError, ValueError) as error:
        flaws.append(str(error))
    if flaws:
        typer.echo("".join(f"failed  {shown(flaw)}\n" for flaw in sorted(flaws)), nl=False)
        raise typer.Exit(ExitCode.SOME_FAILED)
    is_whole = digest is not None and len(digest) == len(found)
    only = f"its files agree with its digest, {found}. Only --digest with all noted digits shows"
    typer.echo(f"{case}: {'unchanged' if is_whole else f'{only} that nobody replaced them.'}")
