"""``recognizer dataset``: look after labelled photos."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli.stages import told_progress
from recognizer.cli.train import DataOption
from recognizer.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recognizer.dataset.manifest import Photo
    from recognizer.dataset.suspects import Suspect

SHOWN = 20
"""Suspects that are printed; the table that can be written has them all."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Check labelled photos, find labels that may be wrong.",
)

BundleOption = Annotated[
    str | None,
    typer.Option("--bundle", "-b", help="Whose features are used; default: the released one."),
]


@app.command()
def check(
    data: Annotated[list[Path], typer.Argument(metavar="DATA...", help="Data folders.")],
    bundle: BundleOption = None,
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="CONFIG.toml", help="Also check what this recipe holds out."),
    ] = None,
) -> None:
    """Check that the manifests are true and that no photo is in two splits.

    Files missing, changed or undecodable, unknown labels, sources in test and elsewhere, and
    near-duplicates across splits are errors that are named; the exit code is then 2. Pairs that
    only look very much alike are named too, to be looked at.
    """
    from rich.console import Console  # noqa: PLC0415 - heavy imports wait for the verb

    from recognizer.dataset.check import check_data  # noqa: PLC0415
    from recognizer.dataset.splits import DataRecipe, read_recipe  # noqa: PLC0415
    from recognizer.recognizer import Recognizer  # noqa: PLC0415

    console = Console(stderr=True)
    data_recipe = DataRecipe.of(read_recipe(recipe), str(recipe)) if recipe else None
    recognizer = Recognizer.load(bundle)
    with told_progress(console) as tell:
        found = check_data(data, recognizer, data_recipe, tell)
    _print_counts(found.photos)
    for problem in found.problems:
        typer.echo(problem)
    for pair in found.duplicates:
        typer.echo(f"near-duplicates: {pair}")
    typer.echo(
        f"{found.unconfirmed} pairs across splits have near hashes, and features that differ: "
        "no duplicates"
    )
    for pair in found.alike:
        typer.echo(f"to be looked at: {pair}")
    wrong = len(found.problems) + len(found.duplicates)
    if wrong:
        raise DatasetError(
            f"{len(found.problems)} problems and {len(found.duplicates)} near-duplicates across "
            "splits, named above"
        )


@app.command()
def suspects(
    data: DataOption,
    bundle: BundleOption = None,
    split: Annotated[str, typer.Option(help="Which photos of the manifest.")] = "train",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the whole list here, as CSV.")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Draw the first ones here, as PNG, to be looked at.")
    ] = None,
    sheet_photos: Annotated[int, typer.Option(help="Photos on the sheet.", min=1)] = 64,
) -> None:
    """List photos that do not look like their label, the surest first (confident learning).

    Most of them are right and only unusual: look before writing one into a table of corrections.
    """
    from rich.console import Console  # noqa: PLC0415

    from recognizer.cli.extras import require_extra  # noqa: PLC0415

    require_extra("train", "cleanlab", "sklearn")
    import cv2  # noqa: PLC0415

    from recognizer.dataset.manifest import load_photos  # noqa: PLC0415
    from recognizer.dataset.outputs import run_photos  # noqa: PLC0415
    from recognizer.dataset.suspects import (  # noqa: PLC0415
        find_suspects,
        suspects_sheet,
        write_suspects,
    )
    from recognizer.recognizer import Recognizer  # noqa: PLC0415

    photos = [p for folder in data for p in load_photos(folder)]
    photos = [p for p in photos if p.split == split and p.is_evidence]
    console = Console(stderr=True)
    recognizer = Recognizer.load(bundle, threads=1)
    with told_progress(console) as tell:
        outputs = run_photos(recognizer, photos, partial(tell, "features"))
    with console.status("looking for labels that the others contradict"):
        found = find_suspects(photos, outputs.embedding)
    _print_suspects(found[:SHOWN], len(found), len(photos))
    if output is not None:
        write_suspects(found, output)
        console.print(f"written: {output}")
    if sheet is not None:
        drawn = cv2.cvtColor(suspects_sheet(found[:sheet_photos]), cv2.COLOR_RGB2BGR)
        if not cv2.imwrite(str(sheet), drawn):
            raise UsageError(f"--sheet {sheet}: cannot be written")


def _print_counts(photos: Sequence[Photo]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    splits = [s for s in ("train", "validation", "test") if any(p.split == s for p in photos)]
    counts = Counter((p.label, p.split) for p in photos)
    sources: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for p in photos:
        sources[p.label, p.split].add(p.source)
    table = Table(title=f"{len(photos)} photos", caption="photos (sources)")
    table.add_column("label")
    for split in splits:
        table.add_column(split, justify="right")
    for label in sorted({p.label for p in photos}):
        cells = (
            f"{counts[label, split]} ({len(sources[label, split])})"
            if counts[label, split]
            else "-"
            for split in splits
        )
        table.add_row(label, *cells)
    console = Console()
    console = console if console.is_terminal else Console(width=140)
    console.print(table)


def _print_suspects(suspects: Sequence[Suspect], found: int, of: int) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=f"{found} of {of} photos do not look like their label")
    for heading in ("sha256", "label", "looks like", "file"):
        table.add_column(heading)
    for s in suspects:
        table.add_row(
            s.photo.sha256[:12],
            f"{s.photo.label} {s.given_probability:.3f}",
            f"{s.suggested} {s.suggested_probability:.3f}",
            s.photo.path.name,
        )
    console = Console()
    console = console if console.is_terminal else Console(width=160)
    console.print(table)
