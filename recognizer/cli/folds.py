"""``recognizer folds``: deal the sources of labelled photos into folds."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli.options import (
    DataArgument,
    JsonOption,
    SeedOption,
    load_data,
    output_option,
    print_json,
)
from recognizer.cli.progress import new_table, wide_console
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recognizer.dataset.manifest import Photo
    from recognizer.dataset.source_folds import SourceFolds

_LARGEST = 3  # groups of a fold that the table names


def command(
    data: DataArgument,
    output: Annotated[Path, output_option("The table of folds, a CSV file.")],
    count: Annotated[int, typer.Option("--count", help="Number of folds.", min=2)] = 5,
    seed: SeedOption = 0,
    groups: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="A table with the columns source (* stands for any text) and group: sources of a "
            "group stay together.",
        ),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Deal the sources outside the test split into folds, and print what is in which.

    Each label, products above all, is spread as evenly as its sources allow. `recognizer train
    --folds` then leaves each fold out in turn.
    """
    from recognizer.dataset.source_folds import deal_sources, read_groups, write_folds

    if output.exists():
        raise UsageError(f"{output} exists already: runs may rest on it; name another file")
    photos = load_data(data)
    together = read_groups(groups) if groups else []
    folds = deal_sources(photos, count, seed=seed, groups=together)
    write_folds(folds, output)
    if as_json:
        print_json({"table": output, "folds": folds.count, "fold_of": folds.fold_of})
    else:
        _print_folds(photos, folds)
    typer.echo(f"Wrote {output}", err=True)


def _print_folds(photos: Sequence[Photo], folds: SourceFolds) -> None:
    from recognizer.dataset.source_folds import counted

    used = counted(photos)
    numbers = range(folds.count)
    counts = Counter((p.label, folds.of(p)) for p in used)
    sources: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    groups: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for p in used:
        sources[p.label, folds.of(p)].add(p.source)
        groups[folds.of(p)][folds.group_of[p.source]] += 1
    title = f"{len(used)} photos of {len(folds.fold_of)} sources"
    table = new_table(title, ("", *(f"fold {n}" for n in numbers)), "photos (sources)")
    for label in sorted({p.label for p in used}):
        pairs = [(label, n) for n in numbers]
        cells = (f"{counts[p]} ({len(sources[p])})" if counts[p] else "-" for p in pairs)
        table.add_row(label, *cells)
    largest = (groups[n].most_common(_LARGEST) for n in numbers)
    cells = ("\n".join(f"{name} {size}" for name, size in found) for found in largest)
    table.add_section()
    table.add_row("largest groups", *cells)
    wide_console().print(table)
