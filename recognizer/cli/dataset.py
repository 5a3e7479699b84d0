"""``recognizer dataset``: split and check labelled photos, and describe custom labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer._atomic import make_folder
from recognizer.cli import SomeInputsFailedError
from recognizer.cli.options import (
    BundleOption,
    DataArgument,
    DataOption,
    JsonOption,
    LayoutOption,
    SeedOption,
    count_photos,
    group,
    load_data,
    output_option,
    print_json,
    require_extra,
)
from recognizer.cli.progress import new_table, show_stage, wide_console, working
from recognizer.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recognizer.dataset.check import DataCheck
    from recognizer.dataset.labels import CustomLabels
    from recognizer.dataset.manifest import Photo
    from recognizer.dataset.new_manifest import NewManifest
    from recognizer.dataset.suspects import Suspect

MAX_SHOWN = 20
"""Suspects and files that are printed; the rest is counted."""

app = group("Split labelled photos, check them, find labels that may be wrong.")


# --- split ----------------------------------------------------------------------------------------


@app.command()
def split(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="The folder with the photos, or the CSV or JSON file that lists them.",
        ),
    ],
    output: Annotated[
        Path,
        output_option("Where manifest.csv is put: a folder, which may be FOLDER itself."),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The column that says where a photo comes from; or folder (inside the label's), "
            "or photo (each is its own source).",
            show_default="the first of these that fits",
        ),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OLD=NEW",
            help="Rename a label of the data; OLD= leaves its photos out. May be repeated.",
        ),
    ] = None,
    test: Annotated[
        float, typer.Option(help="The share of the photos for the test split.", min=0.0, max=0.9)
    ] = 0.2,
    validation: Annotated[
        float,
        typer.Option(
            help="The share for the validation split, which training leaves to `calibrate`.",
            min=0.0,
            max=0.9,
        ),
    ] = 0.0,
    seed: SeedOption = 0,
    layout: LayoutOption = None,
    photos: Annotated[
        Path | None,
        typer.Option(help="The folder of the photos.", show_default="that of the list"),
    ] = None,
    file_column: Annotated[
        str | None,
        typer.Option(help="The column of a table with the file.", show_default="by its name"),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(help="The column of a table with the label.", show_default="by its name"),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Split labelled photos into train and test, and write their manifest.

    No source is in two splits, nor are near-copies; each label has its share of each split, as far
    as its sources allow. The photos stay where they are. The same data and seed give the same
    split. The exit code is 3 if some photos had to be left out.
    """
    from recognizer.dataset.layouts import read_collection
    from recognizer.dataset.manifest import LABELS, write_manifest
    from recognizer.dataset.new_manifest import make_manifest

    if test + validation >= 1:
        raise UsageError(
            f"--test {test} and --validation {validation}: nothing is left to train on"
        )
    _check_output(output)
    found = read_collection(
        folder, layout, photos, file_column=file_column, label_column=label_column
    )
    with show_stage("reading photos") as progress:
        made = make_manifest(
            found,
            source=source,
            renamed=_renamed(rename or []),
            shares={"train": 1 - test - validation, "test": test, "validation": validation},
            seed=seed,
            on_progress=progress,
        )
    make_folder(output)
    own = found.root / LABELS
    path = write_manifest(made.photos, output, own if own.is_file() else None)
    if as_json:
        parts = ("layout", "source", "notes", "warnings", "left_out")
        print_json(
            {
                "manifest": str(path),
                **{part: getattr(made, part) for part in parts},
                "labels": count_photos(made.photos),
            }
        )
    else:
        _print_split(made)
        typer.echo(f"Wrote {path}", err=True)
    if made.left_out:
        raise SomeInputsFailedError


def _check_output(output: Path) -> None:
    from recognizer.dataset.manifest import MANIFEST

    if output.exists() and not output.is_dir():
        raise UsageError(f"--output {output} is a file: name a folder for {MANIFEST}")
    if (output / MANIFEST).exists():
        raise UsageError(
            f"{output / MANIFEST} exists already, and runs may rest on it: name another folder, or "
            "delete it"
        )


def _renamed(given: list[str]) -> dict[str, str]:
    renamed = {}
    for text in given:
        old, equals, new = text.partition("=")
        if not equals or not old:
            raise UsageError(f"--rename {text}: write OLD=NEW")
        renamed[old] = new
    return renamed


def _print_split(made: NewManifest) -> None:
    from recognizer.cli.progress import shown

    typer.echo(f"Layout: {shown(made.layout)}")
    typer.echo(f"Source: {shown(made.source)}")
    for note in made.notes:
        typer.echo(shown(note))
    _print_counts(made.photos)
    for warning in made.warnings:
        typer.echo(f"Warning: {shown(warning)}")
    for line in made.left_out[:MAX_SHOWN]:
        typer.echo(f"Left out: {shown(line)}", err=True)
    if len(made.left_out) > MAX_SHOWN:
        typer.echo(f"Left out: {len(made.left_out) - MAX_SHOWN} more", err=True)


def _print_counts(photos: Sequence[Photo]) -> None:
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


# --- custom labels --------------------------------------------------------------------------------


@app.command()
def labels(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder with the photos.")],
    kinds: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="LABEL=KIND",
            help="Labels for a new file, and their kinds: product, lookalike, animal or other.",
        ),
    ] = None,
    layout: LayoutOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Describe custom labels in FOLDER/taxonomy.toml, and check that file.

    If there is no such file, it is written, with the labels that the photos have and the package
    does not know: edit it, and run this again. The exit code is 2 if an entry breaks a rule, or a
    label of the photos is not known.
    """
    from recognizer.dataset.labels import UNDECIDED, check_labels, count_labels, write_template
    from recognizer.dataset.manifest import LABELS
    from recognizer.taxonomy import load_taxonomy

    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; make it first")
    path, given = folder / LABELS, _kinds(kinds or [])
    if path.exists() and given:
        raise UsageError(f"{path} exists already: edit it, or delete it first")
    counts: dict[str, int] = {}
    try:
        counts = dict(count_labels(folder, layout))
    except DatasetError as error:
        if any(folder.iterdir()):
            if not (path.exists() or given):
                raise
            typer.echo(f"Photos were not counted: {error}", err=True)
    if path.exists():
        found = check_labels(folder, counts)
        if as_json:
            print_json(found)
        else:
            _print_labels(found)
        if found.missing:
            raise DatasetError(
                f"{folder}: labels that neither {LABELS} nor the package has: "
                f"{', '.join(found.missing)}; describe them in {LABELS}, or rename them with "
                "`recognizer dataset split --rename`"
            )
        return
    known = load_taxonomy().labels
    kind_of = {name: UNDECIDED for name in counts if name not in known} | given
    write_template(path, kind_of, counts)
    typer.echo(f"Wrote {path}", err=True)
    undecided = sorted(name for name, kind in kind_of.items() if kind == UNDECIDED)
    if undecided:
        typer.echo(f"Say in it what these are: {', '.join(undecided)}")
    typer.echo(f"Then run again: recognizer dataset labels {folder}")


def _kinds(given: list[str]) -> dict[str, str]:
    from recognizer.taxonomy import Kind

    kinds = {}
    for text in given:
        name, equals, kind = text.partition("=")
        if not equals or kind not in [*Kind]:
            raise UsageError(f"{text!r}: write LABEL=KIND, the kind one of {', '.join(Kind)}")
        kinds[name] = kind
    return kinds


def _print_labels(found: CustomLabels) -> None:
    headings = ("label", "kind", "family", "shown as", "photos")
    table = new_table(f"{len(found.labels)} custom labels", headings)
    for column in table.columns[1:4]:
        column.justify = "left"
    for label in found.labels:
        photos = str(found.photos.get(label.name, "-"))
        table.add_row(label.name, label.kind, label.family or "-", label.display_name, photos)
    wide_console().print(table)
    for warning in found.warnings:
        typer.echo(f"Warning: {warning}")


# --- check ----------------------------------------------------------------------------------------


@app.command()
def check(
    data: DataArgument,
    *,
    as_json: JsonOption = False,
) -> None:
    """Check that the manifests are true and that no photo is in two splits.

    Prints missing, changed or undecodable files, unknown labels, sources in test and another split,
    and near-duplicates across splits; the exit code is then 2.
    """
    from recognizer.dataset.check import check_data

    with show_stage("reading photos") as progress:
        found = check_data(data, progress)
    if as_json:
        parts = ("problems", "duplicates")
        values = {part: getattr(found, part) for part in parts}
        print_json({**values, "labels": count_photos(found.photos)})
    else:
        _print_check(found)
    if found.problems or found.duplicates:
        raise DatasetError(
            f"{len(found.problems)} problems and {len(found.duplicates)} near-duplicates across "
            "splits, listed above"
        )


def _print_check(found: DataCheck) -> None:
    _print_counts(found.photos)
    for problem in found.problems:
        typer.echo(problem)
    for pair in found.duplicates:
        typer.echo(f"near-duplicates: {pair}")


# --- suspects -------------------------------------------------------------------------------------


@app.command()
def suspects(
    data: DataOption,
    bundle: BundleOption = None,
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
    from recognizer.dataset.outputs import run_photos
    from recognizer.dataset.suspects import draw_suspects, find_suspects, write_suspects
    from recognizer.engine import Recognizer

    photos = [p for p in load_data(data) if p.split == split]
    recognizer = Recognizer.load(bundle, threads=1)
    with show_stage("features") as progress:
        _, embedding = run_photos(recognizer, photos, progress)
    with working("looking for wrong labels"):
        found = find_suspects(photos, embedding)
    if as_json:
        print_json({"photos": len(photos), "suspects": found})
    else:
        _print_suspects(found[:MAX_SHOWN], len(found), len(photos))
    if output is not None:
        write_suspects(found, output)
        typer.echo(f"Wrote {output}", err=True)
    if sheet is not None:
        draw_suspects(found[:sheet_photos], sheet)


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
