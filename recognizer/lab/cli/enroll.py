"""``recognizer enroll``: a product added to a bundle from a few photos."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from recognizer.cli.options import BundleOption, output_option, require_extra
from recognizer.cli.progress import require_none_failed, say, show_progress
from recognizer.errors import UsageError


def enroll_command(
    name: Annotated[str, Argument(metavar="NAME", help="A product of the taxonomy or a new name.")],
    photos: Annotated[
        list[str],
        Argument(metavar="PHOTO", help="3 or more: files, patterns, folders (each a source)."),
    ],
    output: Annotated[Path | None, output_option("The new bundle: a folder NAME-vN.")] = None,
    bundle: BundleOption = None,
    family: Annotated[
        str | None, Option(help="The family of a new name.", show_default="its own")
    ] = None,
    hint: Annotated[str | None, Option(help="What reviewers look at; a new name needs it.")] = None,
    check: Annotated[bool, Option("--check", help="Print what to expect; write nothing.")] = False,
) -> None:
    """Add a product to a bundle from as few as three photos.

    Prints what to expect: each folder in turn (in one folder, each photo) is left out and scored.
    The new bundle is used like any other. The exit code is 3 if a photo could not be read. Needs
    the extra `lab`.
    """
    require_extra("lab", "sklearn", "onnx")
    if (output is None) != check:
        raise UsageError("give either --output, the folder of the new bundle, or --check")
    with show_progress() as report:
        from recognizer.engine import Recognizer
        from recognizer.lab.enrolment.enroll import enroll
        from recognizer.scan import expand

        recognizer = Recognizer.load(bundle)
        paths = [item.source for item in expand(photos)]
        about: Any = {"family": family, "hint": hint}
        enrolment = enroll(recognizer, name, paths, output, on_progress=report, **about)
    for note in enrolment.notes:
        say(note)
    typer.echo("\n".join(enrolment.lines()))
    if enrolment.path is not None:
        typer.echo(f"Wrote {enrolment.path}; use it with --model {enrolment.path}")
    require_none_failed(f"Skipped {path}: {why}" for path, why in enrolment.unreadable.items())
