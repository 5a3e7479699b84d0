"""``recognizer taxonomy``: labels of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli.options import JsonOption, LayoutOption, print_json
from recognizer.cli.progress import new_table, wide_console
from recognizer.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from collections import Counter

    from recognizer.dataset.own_labels import OwnLabels

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Describe labels of your own, to train them.",
)

DataArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder with the photos.")]


@app.command()
def init(
    folder: DataArgument,
    labels: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="LABEL=KIND",
            help="Labels and their kinds: product, lookalike, animal or other.",
        ),
    ] = None,
    layout: LayoutOption = None,
) -> None:
    """Write FOLDER/taxonomy.toml with the labels that the photos have and the package does not.

    Then edit the file: say of each label of which kind it is, unless you said so here.
    """
    from recognizer.dataset.manifest import LABELS
    from recognizer.dataset.own_labels import UNDECIDED, write_template
    from recognizer.taxonomy import packaged_taxonomy

    given = _kinds(labels or [])
    photos = _count(folder, layout, is_needed=not given)
    known = packaged_taxonomy().labels
    kinds = {name: UNDECIDED for name in photos if name not in known} | given
    path = folder / LABELS
    write_template(path, kinds, photos)
    typer.echo(f"Wrote {path}", err=True)
    undecided = sorted(name for name, kind in kinds.items() if kind == UNDECIDED)
    if undecided:
        typer.echo(f"Say in it what these are: {', '.join(undecided)}")
    typer.echo(f"Then run: recognizer taxonomy check {folder}")


@app.command()
def check(
    folder: DataArgument, layout: LayoutOption = None, *, as_json: JsonOption = False
) -> None:
    """Check FOLDER/taxonomy.toml, and that each label of the photos is known.

    The exit code is 2 if an entry breaks a rule, or a label is not known.
    """
    from recognizer.dataset.own_labels import check_labels, labels_file

    path = labels_file(folder)
    photos = _count(path.parent, layout, is_needed=False)
    found = check_labels(path, photos)
    if as_json:
        print_json(found)
    else:
        _print_labels(found)
    if found.missing:
        raise DatasetError(
            f"{path.parent}: labels that neither {path.name} nor the package has: "
            f"{', '.join(found.missing)}; describe them in {path.name}, or rename them with "
            "`recognizer dataset split --rename`"
        )


def _count(folder: Path, layout: str | None, *, is_needed: bool) -> Counter[str]:
    """Count the photos of each label; photos that cannot be found are an error if needed."""
    from collections import Counter

    from recognizer.dataset.layouts import read_collection
    from recognizer.dataset.manifest import MANIFEST, read_rows
    from recognizer.dataset.own_labels import count_labels

    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; make it first")
    if (folder / MANIFEST).is_file():  # whose photos may lie elsewhere
        return Counter(row["label"] for _, row in read_rows(folder / MANIFEST, ("label",)))
    try:
        return count_labels(read_collection(folder, layout))
    except DatasetError as error:
        if any(folder.iterdir()):
            if is_needed:
                raise
            typer.echo(f"Photos were not counted: {error}", err=True)
        return Counter()


def _kinds(given: list[str]) -> dict[str, str]:
    from recognizer.taxonomy import Kind

    kinds = {}
    for text in given:
        name, equals, kind = text.partition("=")
        if not equals or kind not in [*Kind]:
            raise UsageError(f"{text!r}: write LABEL=KIND, the kind one of {', '.join(Kind)}")
        kinds[name] = kind
    return kinds


def _print_labels(found: OwnLabels) -> None:
    headings = ("label", "kind", "family", "shown as", "photos")
    table = new_table(f"{len(found.labels)} labels of your own", headings)
    for column in table.columns[1:4]:
        column.justify = "left"
    for label in found.labels:
        photos = str(found.photos[label.name]) if label.name in found.photos else "-"
        table.add_row(label.name, label.kind, label.family or "-", label.display_name, photos)
    wide_console().print(table)
    for warning in found.warnings:
        typer.echo(f"Warning: {warning}")
