"""``recognizer enroll``: a product added to a bundle, or strengthened, from a few photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli import SomeInputsFailedError
from recognizer.cli.stages import told_progress
from recognizer.errors import UsageError

ProductArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A product of the taxonomy, or a new name.")
]
PhotosArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="PHOTO...",
        help="Photos of it, at least 3 that differ: files, folders, patterns. Photos in different "
        "folders are taken for different sources.",
    ),
]
BundleOption = Annotated[
    str | None,
    typer.Option("--bundle", "-b", help="A model's folder, or its name; else the released one."),
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="The new bundle: a folder NAME-vN.")
]
NegativesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--negatives",
        "-n",
        help="Photos that do not show it, beside those that the bundle remembers: a file, a "
        "folder or a pattern. May be given several times.",
    ),
]
FamilyOption = Annotated[
    str | None, typer.Option(help="Of a new name: the family that it is reported under.")
]
HintOption = Annotated[
    str | None, typer.Option(help="Of a new name: what a reviewer should look at.")
]
CheckOption = Annotated[
    bool, typer.Option("--check", help="Only say what to expect; write nothing.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Of the changed copies of the photos.")]


def command(
    name: ProductArgument,
    photos: PhotosArgument,
    output: OutputOption = None,
    bundle: BundleOption = None,
    negatives: NegativesOption = None,
    family: FamilyOption = None,
    hint: HintOption = None,
    check: CheckOption = False,
    seed: SeedOption = 0,
) -> None:
    """Add a product to a bundle, or strengthen one, from as few as three photos.

    What to expect of it is printed: each photo in turn is left out and scored. The new bundle is
    used like any other. The exit code is 3 where a photo could not be read.
    """
    from rich.console import Console  # noqa: PLC0415 - heavy imports wait for the verb

    from recognizer.enrolment import Product, Settings, enroll, examine  # noqa: PLC0415
    from recognizer.model.folders import check_output  # noqa: PLC0415
    from recognizer.recognizer import Recognizer  # noqa: PLC0415
    from recognizer.scan import expand  # noqa: PLC0415

    if output is None and not check:
        raise UsageError("give --output, the folder of the new bundle, or --check")
    if output is not None and not check:
        check_output(output)  # before any work is done
    recognizer = Recognizer.load(bundle)
    paths = [item.source for item in expand(photos)]
    others = [item.source for item in expand(negatives or ())]
    console = Console(stderr=True)
    with told_progress(console, transient=True) as tell:
        product, settings = Product(name, family, hint), Settings(seed=seed)
        if output is None or check:
            found = examine(
                *(recognizer, product, paths),
                negatives=others,
                settings=settings,
                on_progress=tell,
            )
        else:
            found = enroll(
                *(recognizer, product, paths, output),
                negatives=others,
                settings=settings,
                on_progress=tell,
            )
    for path, why in found.unreadable.items():
        console.print(f"not used: {path}: {why}", markup=False, soft_wrap=True)
    for note in found.notes:
        console.print(note, markup=False, soft_wrap=True)
    typer.echo("\n".join(found.expectation.lines()))
    if found.path is not None:
        typer.echo(f"written: {found.path}; use it with --bundle {found.path}")
    if found.unreadable:
        raise SomeInputsFailedError
