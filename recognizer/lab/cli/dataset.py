"""``recognizer dataset``: split and check labelled photos, and describe custom labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from recognizer._files import make_folder
from recognizer.cli import ExitCode, options
from recognizer.cli.progress import print_table, show_stage, shown
from recognizer.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from recognizer.lab.dataset.manifest import Photo
    from recognizer.lab.dataset.new_manifest import NewManifest

MAX_SHOWN = 20  # files that are printed; the rest is counted

app = options.group("Split labelled photos, check them, describe custom labels.")


@app.command()
def split(
    folder: Annotated[
        Path, Argument(metavar="FOLDER", help="The photos' folder, or their CSV list.")
    ],
    output: Annotated[Path, options.output_option("The folder of manifest.csv; it may be FOLDER.")],
    source: Annotated[
        str | None,
        Option(
            metavar="COLUMN",
            help="The column with the source; or folder (in the label's), or photo (its own).",
            show_default="the first of these that fits",
        ),
    ] = None,
    rename: Annotated[
        list[str] | None,
        Option(metavar="OLD=NEW", help="Rename a label; OLD= leaves it out. Repeatable."),
    ] = None,
    test: Annotated[float, Option(help="The share of the test split.", min=0, max=0.9)] = 0.2,
    validation: Annotated[
        float, Option(help="The share of validation, for `thresholds`.", min=0, max=0.9)
    ] = 0.0,
    seed: Annotated[int, Option(help="Seed of the random draws.", min=0)] = 0,
    photos: Annotated[
        Path | None, Option(help="The photos' folder.", show_default="that of the list")
    ] = None,
) -> None:
    """Split labelled photos into train and test, and write their manifest.

    No source is in two splits, nor are near-copies; each label has its share of each split, as far
    as its sources allow. The photos stay where they are. The same data and seed give the same
    split. The exit code is 3 if some photos had to be left out.
    """
    from recognizer.lab.dataset.layouts import read_collection
    from recognizer.lab.dataset.manifest import LABELS, MANIFEST, write_manifest
    from recognizer.lab.dataset.new_manifest import make_manifest

    if test + validation >= 1:
        raise UsageError(
            f"--test {test} and --validation {validation}: nothing is left to train on"
        )
    if output.exists() and not output.is_dir():
        raise UsageError(f"--output {output} is a file: name a folder for {MANIFEST}")
    if (output / MANIFEST).exists():
        raise UsageError(
            f"{output / MANIFEST} exists already, and runs may rest on it: name another folder, or "
            "delete it"
        )
    found = read_collection(folder, photos)
    with show_stage("reading photos") as progress:
        made = make_manifest(
            found,
            source=source,
            renamed=_pairs(rename, "OLD=NEW"),
            shares={"test": test, "validation": validation},
            seed=seed,
            on_progress=progress,
        )
    make_folder(output)
    own = found.root / LABELS
    path = write_manifest(made.photos, output, own if own.is_file() else None)
    _print_split(made)
    typer.echo(f"Wrote {path}", err=True)
    if made.left_out:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _pairs(given: Sequence[str] | None, form: str) -> dict[str, str]:
    pairs = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"{text!r}: write {form}")
        pairs[key] = value
    return pairs


def _print_split(made: NewManifest) -> None:
    for note in made.notes:
        typer.echo(shown(note))
    print_counts(made.photos)
    for warning in made.warnings:
        typer.echo(f"Warning: {shown(warning)}")
    for line in made.left_out[:MAX_SHOWN]:
        typer.echo(f"Left out: {shown(line)}", err=True)
    if len(made.left_out) > MAX_SHOWN:
        typer.echo(f"Left out: {len(made.left_out) - MAX_SHOWN} more", err=True)


def print_counts(photos: Sequence[Photo]) -> None:
    """Print how many photos and sources each label has in each split."""
    from recognizer.lab.dataset.manifest import SPLITS

    sources: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for photo in photos:
        sources[photo.label, photo.split].append(photo.source)
    splits = [split for split in SPLITS if any(split == found for _, found in sources)]
    rows = []
    for label in sorted({label for label, _ in sources}):
        cells = [sources.get((label, split), []) for split in splits]
        rows.append([label, *(f"{len(c)} ({len({*c})})" if c else "-" for c in cells)])
    print_table(f"{len(photos)} photos", ("label", *splits), rows, "photos (sources)")


@app.command()
def labels(
    folder: Annotated[Path, Argument(metavar="FOLDER", help="The folder with the photos.")],
    kinds: Annotated[
        list[str] | None, Argument(metavar="LABEL=KIND", help="Labels of a new file, with kinds.")
    ] = None,
) -> None:
    """Describe custom labels in FOLDER/taxonomy.toml, and check that file.

    Without that file, one is written with the labels that the photos have and the package does not
    know: edit it, and run this again. The exit code is 2 if an entry breaks a rule, or a label of
    the photos is not known.
    """
    from recognizer.lab.dataset.labels import UNDECIDED, check_labels, count_labels, write_template
    from recognizer.lab.dataset.manifest import LABELS
    from recognizer.taxonomy import Kind, load_taxonomy

    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; make it first")
    form = f"LABEL=KIND, the kind one of {', '.join(Kind)}"
    path, given = folder / LABELS, _pairs(kinds, form)
    if wrong := [f"'{label}={kind}'" for label, kind in given.items() if kind not in [*Kind]]:
        raise UsageError(f"{wrong[0]}: write {form}")
    if path.exists() and given:
        raise UsageError(f"{path} exists already: edit it, or delete it first")
    counts: dict[str, int] = {}
    try:
        counts = dict(count_labels(folder))
    except DatasetError as error:
        if any(folder.iterdir()):
            if not (path.exists() or given):
                raise
            typer.echo(f"Photos were not counted: {error}", err=True)
    if path.exists():
        described, warnings = check_labels(folder, counts)
        for own in described:
            family = f" ({own.family})" if own.family else ""
            typer.echo(f"{own.name}: {own.kind}{family}, {counts.get(own.name, 0)} photos")
        for warning in warnings:
            typer.echo(f"Warning: {warning}")
        return
    known = load_taxonomy().labels
    kind_of = {name: UNDECIDED for name in counts if name not in known} | given
    if counts and not kind_of:
        typer.echo("The package knows all labels of these photos: no file is needed")
        return
    write_template(path, kind_of, counts)
    typer.echo(f"Wrote {path}", err=True)
    for label in sorted(given.keys() - counts.keys()) if counts else ():
        typer.echo(f"Warning: {label}: no photo here has this label")
    if undecided := sorted(name for name, kind in kind_of.items() if kind == UNDECIDED):
        typer.echo(f"Say in it what these are: {', '.join(undecided)}")
    typer.echo(f"Then run again: recognizer dataset labels {folder}")


@app.command()
def check(
    data: Annotated[list[Path], Argument(metavar="FOLDER", help="Folders of labelled photos.")],
) -> None:
    """Check that the manifests are true, that splits are apart, and what gives products away.

    Prints missing, changed or undecodable files, unknown labels, sources in test and another split,
    and near-duplicates across splits; the exit code is then 2. Also how well size, format or JPEG
    tables of files alone tell products from others, and products of one source.
    """
    from recognizer.errors import counted
    from recognizer.lab.dataset.check import check_data, warn_of_sources

    with show_stage("reading photos") as progress:
        photos, problems = check_data(data, progress)
    print_counts(photos)
    for line in problems:
        typer.echo(line)
    if problems:
        raise DatasetError(f"{counted(len(problems), 'problem')}, listed above")
    for line in warn_of_sources(photos):
        typer.echo(f"Warning: {shown(line)}")
    if find_spec("sklearn") is None:
        typer.echo("Shortcuts were not looked for: this needs the extra lab", err=True)
        return
    from recognizer.lab.dataset.shortcuts import MAX_AUC, measure_shortcuts

    with show_stage("looking for shortcuts") as progress:
        shortcuts = measure_shortcuts(photos, progress)
    if shortcuts:
        print_table(
            "What files alone tell of products (0.5: nothing), of sources that were left out",
            ("property", "AUC", "most of", "AUC"),
            ([s.name, f"{s.auc:.2f}", s.label, f"{s.label_auc:.2f}"] for s in shortcuts),
            text_columns=(0, 2),
        )
    for one in shortcuts:
        if one.auc > MAX_AUC:
            typer.echo(f"Warning: {one.name}: a model can learn it instead of the product")
