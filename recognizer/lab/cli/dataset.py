"""``recognizer dataset``: split labelled photos, and check them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from recognizer._files import make_folder, require_page
from recognizer.cli import options
from recognizer.cli.progress import print_table, require_none_failed, say, show_progress, shown
from recognizer.errors import DatasetError, UsageError, counted

if TYPE_CHECKING:
    from recognizer.lab.dataset.manifest import Photo

MAX_SHOWN = 20  # files that are printed; the rest is counted

PairsOption = Annotated[
    Path | None, Option(metavar="PAGE.html", help="Write the most similar photos across splits.")
]

app = options.group("Split labelled photos, and check them.")


@app.command()
def split(
    folder: Annotated[
        Path, Argument(metavar="FOLDER", help="The photos' folder, or a CSV table of them.")
    ],
    output: Annotated[Path, options.output_option("The folder of manifest.csv; it may be FOLDER.")],
    test: Annotated[float, Option(help="The share of the test split.", min=0, max=0.9)] = 0.2,
    seed: Annotated[int, Option(help="Seed of the random draws.", min=0)] = 0,
    pairs: PairsOption = None,
) -> None:
    """Split labelled photos into train and test; write a manifest.

    FOLDER has a folder for each label, and in it one for each source; or it is a CSV table with the
    columns file, label and source. No source is in two splits, nor are near-copies; each label has
    its share of each split, as far as its sources allow, and at least half of its sources in train.
    Photos of different splits that look alike to the model are named. The photos stay where they
    are. The same data and seed give the same split. The exit code is 3 if some photos had to be
    left out.
    """
    from recognizer.lab.dataset.layouts import read_collection
    from recognizer.lab.dataset.manifest import LABELS, MANIFEST, write_manifest
    from recognizer.lab.dataset.new_manifest import make_manifest

    if (output / MANIFEST).exists():
        words = "exists already, and runs may rest on it: name another folder, or delete it"
        raise UsageError(f"{output / MANIFEST} {words}")
    found = read_collection(folder)
    make_folder(output)  # before minutes of work
    with show_progress() as report:
        made = make_manifest(
            found,
            test_share=test,
            seed=seed,
            on_progress=partial(report, "reading photos"),
        )
    path = write_manifest(made.photos, output, found.root / LABELS)
    for note in made.notes:
        typer.echo(shown(note))
    print_counts(made.photos)
    for warning in made.warnings:
        typer.echo(f"Warning: {shown(warning)}")
    say(f"Wrote {path}")
    _compare_splits(made.photos, pairs)
    more = len(made.left_out) - MAX_SHOWN
    lines = [*made.left_out[:MAX_SHOWN], *([f"{more} more"] if more > 0 else [])]
    require_none_failed(f"Left out: {line}" for line in lines)


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
def check(
    data: Annotated[list[Path], Argument(metavar="FOLDER", help="Folders of labelled photos.")],
    folds: Annotated[
        Path | None,
        Option(metavar="TABLE.csv", help="Sources that stay together, and their folds."),
    ] = None,
    pairs: PairsOption = None,
) -> None:
    """Check manifests and splits, and what gives products away.

    Prints missing, changed or undecodable files, unknown labels, sources or groups in test and
    another split, and near-duplicates across splits; the exit code is then 2. Also photos that look
    alike to the model across splits, how well size, format or JPEG tables of training files alone
    tell products from others, and products of one source.
    """
    from recognizer.lab.dataset.check import check_data, warn_of_sources

    options.require_extra("lab", "sklearn")
    with show_progress() as report:
        photos, problems = check_data(data, partial(report, "reading photos"), folds)
    print_counts(photos)
    for line in problems:
        typer.echo(shown(line))
    for line in warn_of_sources(photos):
        typer.echo(f"Warning: {shown(line)}")
    files, found = counted(len(photos), "photo"), counted(len(problems), "problem")
    typer.echo(f"Checked files, labels, sources and near-duplicates of {files}: {found}")
    if problems:
        raise DatasetError(f"{found}, listed above: mend them, and check again for shortcuts")
    _compare_splits(photos, pairs)
    with show_progress() as report:
        from recognizer.lab.dataset.shortcuts import MAX_AUC, measure_shortcuts

        learned = [photo for photo in photos if photo.split == "train"]
        measured = measure_shortcuts(learned, partial(report, "looking for shortcuts"))
    if not measured:
        typer.echo("Shortcuts were not looked for: there are too few training photos or sources")
        return
    print_table(
        "How well training files alone give products away, sources left out (0.5: not at all)",
        ("property", "AUC"),
        ([s.name, f"{s.auc:.2f}"] for s in measured),
    )
    for one in measured:
        if one.auc > MAX_AUC:
            typer.echo(f"Warning: {one.name}: a model can learn it instead of the product")


def _compare_splits(photos: Sequence[Photo], page: Path | None) -> None:
    if page is not None:
        require_page(page)
    with show_progress() as report:
        from recognizer.engine import Recognizer
        from recognizer.lab.dataset import similar

        comparing = partial(report, "comparing photos across splits")
        embeddings = similar.embed_photos(Recognizer.load(), photos, comparing)
        found = similar.nearest_pairs(embeddings, [photo.split for photo in photos])
        if page is not None:
            similar.write_pairs(page, photos, found)
    near = [pair for pair in found if pair[0] >= similar.COPY_COSINE]
    for cosine, *both in near[:MAX_SHOWN]:
        names = " and ".join(f"{photos[i].path} ({photos[i].split})" for i in both)
        typer.echo(f"Warning: perhaps a crop or a copy (cosine {cosine:.3f}): {shown(names)}")
    if found:
        words = f"{found[0][0]:.3f}; {len(near)} of {similar.COPY_COSINE} and more"
        typer.echo(f"Nearest embeddings across splits: {words}")
    if page is not None:
        say(f"Wrote {page}")
