"""``recognizer dataset split``: make the manifest of anybody's labelled photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli import SomeInputsFailedError
from recognizer.cli.options import (
    JsonOption,
    LayoutOption,
    SeedOption,
    count_photos,
    output_option,
    print_json,
)
from recognizer.cli.progress import show_stage
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from recognizer.dataset.new_manifest import NewManifest

_SHOWN = 10  # files that are left out, of which the rest is counted


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
            "prefix (of the file name) or photo (each is a source of its own).",
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
            help="The share for the validation split. With 0, training holds some photos out.",
            min=0.0,
            max=0.9,
        ),
    ] = 0.1,
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
    """Split labelled photos into train, validation and test, and write their manifest.

    No source is in two splits, nor are near-copies; each label has its share of each split, as far
    as its sources allow. The photos stay where they are. The same data and seed give the same
    split. The exit code is 3 if some photos had to be left out.
    """
    from recognizer.dataset.layouts import Columns, read_collection
    from recognizer.dataset.manifest import LABELS
    from recognizer.dataset.new_manifest import make_manifest, write_manifest

    if test + validation >= 1:
        raise UsageError(
            f"--test {test} and --validation {validation}: nothing is left to train on"
        )
    _check_output(output)
    columns = Columns(file=file_column, label=label_column)
    found = read_collection(folder, layout, columns, photos)
    with show_stage("reading photos") as progress:
        made = make_manifest(
            found,
            source=source,
            renamed=_renamed(rename or []),
            shares={"train": 1 - test - validation, "test": test, "validation": validation},
            seed=seed,
            on_progress=progress,
        )
    output.mkdir(parents=True, exist_ok=True)
    own = found.root / LABELS
    path = write_manifest(made.photos, output, own if own.is_file() else None)
    if as_json:
        print_json(_summary(made, path))
    else:
        _print(made)
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
    pairs = [(text.partition("=")) for text in given]
    for (old, equals, _), text in zip(pairs, given, strict=True):
        if not equals or not old:
            raise UsageError(f"--rename {text}: write OLD=NEW")
    return {old: new for old, _, new in pairs}


def _print(made: NewManifest) -> None:
    from recognizer.cli.dataset import print_counts
    from recognizer.cli.scan_output import shown

    typer.echo(f"Layout: {shown(made.layout)}")
    typer.echo(f"Source: {shown(made.source)}")
    for note in made.notes:
        typer.echo(shown(note))
    print_counts(made.photos)
    for warning in made.warnings:
        typer.echo(f"Warning: {shown(warning)}")
    for line in made.left_out[:_SHOWN]:
        typer.echo(f"Left out: {shown(line)}", err=True)
    if len(made.left_out) > _SHOWN:
        typer.echo(f"Left out: {len(made.left_out) - _SHOWN} more", err=True)


def _summary(made: NewManifest, path: Path) -> dict[str, object]:
    return {
        "manifest": str(path),
        "layout": made.layout,
        "source": made.source,
        "notes": made.notes,
        "warnings": made.warnings,
        "left_out": made.left_out,
        "labels": count_photos(made.photos),
    }
