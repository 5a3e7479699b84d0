"""``recognizer dataset``: split, check and correct labelled photos."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from recognizer._files import make_folder
from recognizer.cli import options
from recognizer.cli.progress import print_table, require_none_failed, say, show_progress, shown
from recognizer.errors import DatasetError, UsageError, counted

if TYPE_CHECKING:
    from recognizer.lab.dataset.manifest import Photo

MAX_SHOWN = 20  # files that are printed; the rest is counted

app = options.group("Split labelled photos, check them, correct their labels.")


@app.command()
def split(
    folder: Annotated[
        Path, Argument(metavar="FOLDER", help="The photos' folder, or a CSV table of them.")
    ],
    output: Annotated[Path, options.output_option("The folder of manifest.csv; it may be FOLDER.")],
    rename: Annotated[
        list[str] | None,
        Option(metavar="OLD=NEW", help="Rename a label; OLD= leaves it out. Repeatable."),
    ] = None,
    test: Annotated[float, Option(help="The share of the test split.", min=0, max=0.9)] = 0.2,
    validation: Annotated[
        float, Option(help="The share of validation, for `thresholds`.", min=0, max=0.9)
    ] = 0.0,
    seed: Annotated[int, Option(help="Seed of the random draws.", min=0)] = 0,
) -> None:
    """Split labelled photos into train and test; write a manifest.

    FOLDER has a folder for each label, and in it one for each source; or it is a CSV table with the
    columns file, label and source. No source is in two splits, nor are near-copies; each label has
    its share of each split, as far as its sources allow. The photos stay where they are. The same
    data and seed give the same split. The exit code is 3 if some photos had to be left out.
    """
    from recognizer.lab.dataset.layouts import read_collection
    from recognizer.lab.dataset.manifest import LABELS, write_manifest
    from recognizer.lab.dataset.new_manifest import make_manifest

    pairs = [text.partition("=") for text in rename or ()]
    if wrong := [old + equals for old, equals, _ in pairs if not old or not equals]:
        raise UsageError(f"--rename {wrong[0]}: write OLD=NEW")
    if test + validation >= 1:
        raise UsageError(
            f"--test {test} and --validation {validation}: nothing is left to train on"
        )
    _check_output(output)
    found = read_collection(folder)
    with show_progress() as report:
        made = make_manifest(
            found,
            renamed={old: new for old, _, new in pairs},
            shares={"test": test, "validation": validation},
            seed=seed,
            on_progress=partial(report, "reading photos"),
        )
    make_folder(output)
    path = write_manifest(made.photos, output, found.root / LABELS)
    for note in made.notes:
        typer.echo(shown(note))
    print_counts(made.photos)
    for warning in made.warnings:
        typer.echo(f"Warning: {shown(warning)}")
    say(f"Wrote {path}")
    more = len(made.left_out) - MAX_SHOWN
    lines = [*made.left_out[:MAX_SHOWN], *([f"{more} more"] if more > 0 else [])]
    require_none_failed(f"Left out: {line}" for line in lines)


def _check_output(output: Path) -> None:
    from recognizer.lab.dataset.manifest import MANIFEST

    if output.exists() and not output.is_dir():
        raise UsageError(f"--output {output} is a file: name a folder for {MANIFEST}")
    if (output / MANIFEST).exists():
        raise UsageError(
            f"{output / MANIFEST} exists already, and runs may rest on it: name another folder, or "
            "delete it"
        )


def print_counts(photos: Sequence[Photo]) -> None:
    """Print how many photos and sources each label has in each split."""
    from recognizer.lab.dataset.manifest import SPLITS

    sources: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for photo in photos:
        sources[photo.label][photo.split].append(photo.source)
    splits = [split for split in SPLITS if any(split in of for of in sources.values())]
    rows = []
    for label, of in sorted(sources.items()):
        cells = [of.get(split) for split in splits]
        rows.append([label, *(f"{len(c)} ({len({*c})})" if c else "-" for c in cells)])
    print_table(counted(len(photos), "photo"), ("label", *splits), rows, "photos (sources)")


@app.command()
def correct(
    folder: Annotated[Path, Argument(metavar="FOLDER", help="Labelled photos with a manifest.")],
    tables: Annotated[
        list[Path], Argument(metavar="TABLE.csv", help="Tables of corrections; the last one wins.")
    ],
    output: Annotated[Path, options.output_option("The folder of the corrected manifest.csv.")],
) -> None:
    """Write a manifest with corrected labels.

    A table has the columns sha256 or file, label (the right one, or exclude) and reason. The photos
    stay where they are.
    """
    from recognizer.lab.dataset.manifest import correct_labels

    _check_output(output)
    for table, count in correct_labels(folder, tables, output).items():
        say(f"{table}: corrected {counted(count, 'photo')}")
    say(f"Wrote {output / 'manifest.csv'}")


@app.command()
def check(
    data: Annotated[list[Path], Argument(metavar="FOLDER", help="Folders of labelled photos.")],
) -> None:
    """Check manifests and splits, and what gives products away.

    Prints missing, changed or undecodable files, unknown labels, sources in test and another split,
    and near-duplicates across splits; the exit code is then 2. Also how well size, format or JPEG
    tables of training files alone tell products from others, and products of one source.
    """
    from recognizer.lab.dataset.check import check_data, warn_of_sources

    with show_progress() as report:
        photos, problems = check_data(data, partial(report, "reading photos"))
    print_counts(photos)
    for line in problems:
        typer.echo(shown(line))
    for line in warn_of_sources(photos):
        typer.echo(f"Warning: {shown(line)}")
    files, found = counted(len(photos), "photo"), counted(len(problems), "problem")
    typer.echo(f"Checked files, labels, sources and near-duplicates of {files}: {found}")
    if problems or find_spec("sklearn") is None:
        needed = "a dataset without problems" if problems else "the extra lab"
        typer.echo(f"Shortcuts were not looked for: this needs {needed}")
        if problems:
            raise DatasetError(f"{found}, listed above")
        return
    with show_progress() as report:
        from recognizer.lab.dataset import shortcuts

        learned = [photo for photo in photos if photo.split == "train"]
        measured = shortcuts.measure_shortcuts(learned, partial(report, "looking for shortcuts"))
    if not measured:
        typer.echo(
            f"Shortcuts were not looked for: this needs {shortcuts.MIN_PHOTOS} training photos of "
            f"{shortcuts.MIN_SOURCES} sources with a product, and as many without one"
        )
    else:
        print_table(
            "How well training files alone give products away, sources left out (0.5: not at all)",
            ("property", "AUC", "most of", "AUC"),
            ([s.name, f"{s.auc:.2f}", s.label, f"{s.label_auc:.2f}"] for s in measured),
            text_columns=(0, 2),
        )
    for one in measured:
        if one.auc > shortcuts.MAX_AUC:
            typer.echo(f"Warning: {one.name}: a model can learn it instead of the product")
