"""``recognizer dataset``: split and check labelled photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recognizer.cli.dataset_match import match
from recognizer.cli.dataset_split import split
from recognizer.cli.options import (
    BundleOption,
    DataArgument,
    DataOption,
    JsonOption,
    OutOfFoldOption,
    count_photos,
    load_data,
    output_option,
    print_json,
    require_extra,
)
from recognizer.cli.progress import new_table, show_progress, show_stage, wide_console, working
from recognizer.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recognizer.dataset.check import Check
    from recognizer.dataset.manifest import Photo
    from recognizer.dataset.suspects import Suspect

SHOWN = 20
"""Suspects that are printed; --output writes all of them."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Split labelled photos, check them, find labels that may be wrong.",
)
app.command()(split)
app.command()(match)


@app.command()
def check(
    data: DataArgument,
    bundle: BundleOption = None,
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="CONFIG.toml", help="Also check what a recipe holds out."),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Check that the manifests are true and that no photo is in two splits.

    Prints missing, changed or undecodable files, unknown labels, sources in test and another split,
    and near-duplicates across splits; the exit code is then 2. Also prints pairs that only look
    very much alike, for people to look at.
    """
    from rich.console import Console

    from recognizer.dataset.check import check_data
    from recognizer.dataset.splits import DataRecipe, read_recipe
    from recognizer.engine import Recognizer

    data_recipe = DataRecipe.of(read_recipe(recipe), str(recipe)) if recipe else None
    recognizer = Recognizer.load(bundle)
    with show_progress(Console(stderr=True)) as report:
        found = check_data(data, recognizer, data_recipe, report)
    if as_json:
        print_json({**_plain(found), "labels": count_photos(found.photos)})
    else:
        _print_check(found)
    wrong = len(found.problems) + len(found.duplicates)
    if wrong:
        raise DatasetError(
            f"{len(found.problems)} problems and {len(found.duplicates)} near-duplicates across "
            "splits, listed above"
        )


def _plain(found: Check) -> dict[str, Any]:
    return {
        "problems": found.problems,
        "duplicates": found.duplicates,
        "unconfirmed": found.unconfirmed,
        "alike": found.alike,
    }


def _print_check(found: Check) -> None:
    print_counts(found.photos)
    for problem in found.problems:
        typer.echo(problem)
    for pair in found.duplicates:
        typer.echo(f"near-duplicates: {pair}")
    typer.echo(
        f"{found.unconfirmed} pairs across splits have near hashes and different features: they "
        "are no duplicates"
    )
    for pair in found.alike:
        typer.echo(f"look alike: {pair}")


@app.command()
def suspects(
    data: DataOption,
    bundle: BundleOption = None,
    out_of_fold: OutOfFoldOption = None,
    split: Annotated[str, typer.Option(help="The split to search.")] = "train",
    output: Annotated[Path | None, output_option("Write the whole list as CSV.")] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Also draw the first ones on a contact sheet (PNG).")
    ] = None,
    sheet_photos: Annotated[int, typer.Option(help="How many photos the sheet has.", min=1)] = 64,
    *,
    as_json: JsonOption = False,
) -> None:
    """List photos that do not look like their label, the most confident first.

    Most of them are right and only unusual: look before you correct one.
    """
    require_extra("train", "cleanlab", "sklearn")
    import cv2

    from recognizer.dataset.suspects import suspects_sheet, write_suspects

    photos = [p for p in load_data(data) if p.split == split and p.is_evidence]
    if out_of_fold is None:
        found = _suspects_of_bundle(photos, bundle)
    elif bundle is None:
        photos, found = _suspects_out_of_fold(photos, out_of_fold)
    else:
        raise UsageError("give either --bundle or --out-of-fold")
    if as_json:
        print_json({"photos": len(photos), "suspects": found})
    else:
        _print_suspects(found[:SHOWN], len(found), len(photos))
    if output is not None:
        write_suspects(found, output)
        typer.echo(f"Wrote {output}", err=True)
    if sheet is not None:
        drawn = cv2.cvtColor(suspects_sheet(found[:sheet_photos]), cv2.COLOR_RGB2BGR)
        if not cv2.imwrite(str(sheet), drawn):
            raise UsageError(f"--sheet {sheet}: cannot be written")


def _suspects_of_bundle(photos: Sequence[Photo], bundle: str | None) -> list[Suspect]:
    from recognizer.dataset.outputs import run_photos
    from recognizer.dataset.suspects import find_suspects
    from recognizer.engine import Recognizer

    recognizer = Recognizer.load(bundle, threads=1)
    with show_stage("features") as progress:
        outputs = run_photos(recognizer, photos, progress)
    with working("looking for wrong labels"):
        return find_suspects(photos, outputs.embedding)


def _suspects_out_of_fold(photos: Sequence[Photo], file: Path) -> tuple[list[Photo], list[Suspect]]:
    """Return the photos that have a prediction, and the suspects among them."""
    from recognizer.dataset.out_of_fold import read_out_of_fold
    from recognizer.dataset.suspects import rank_suspects

    predictions = read_out_of_fold(file)
    rows = {photo.sha256: i for i, photo in enumerate(predictions.photos)}
    known = [p for p in photos if p.sha256 in rows and p.label in predictions.labels]
    if not known:
        raise DatasetError(f"{file} has predictions of none of these photos")
    if len(known) < len(photos):
        typer.echo(f"Skipped {len(photos) - len(known)} photos without a prediction", err=True)
    probabilities = predictions.probabilities[[rows[p.sha256] for p in known]]
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    return known, rank_suspects(known, list(predictions.labels), probabilities)


def print_counts(photos: Sequence[Photo]) -> None:
    """Print how many photos and sources each label has in each split."""
    splits = [s for s in ("train", "validation", "test") if any(p.split == s for p in photos)]
    table = new_table(f"{len(photos)} photos", ("label", *splits), "photos (sources)")
    for label, counts in count_photos(photos).items():
        cells = (
            f"{counts[split]['photos']} ({counts[split]['sources']})"
            if counts[split]["photos"]
            else "-"
            for split in splits
        )
        table.add_row(label, *cells)
    wide_console().print(table)


def _print_suspects(suspects: Sequence[Suspect], found: int, of: int) -> None:
    from rich.table import Table

    title = f"{found} of {of} photos do not look like their label"
    table = Table("sha256", "label", "looks like", "file", title=title)
    for s in suspects:
        table.add_row(
            s.photo.sha256[:12],
            f"{s.photo.label} {s.given_probability:.3f}",
            f"{s.suggested} {s.suggested_probability:.3f}",
            s.photo.path.name,
        )
    wide_console().print(table)
