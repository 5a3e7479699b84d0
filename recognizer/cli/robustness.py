"""``recognizer robustness``: measure a bundle on altered photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer._atomic import check_place, require_page
from recognizer.cli.options import (
    BundleArgument,
    DataOption,
    JsonOption,
    SeedOption,
    ThreadsOption,
    load_data,
    output_option,
    require_extra,
)
from recognizer.cli.progress import new_table, show_stage, wide_console
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from recognizer.evaluation.robustness import Robustness

PLOTS = frozenset({".html", ".png", ".svg"})
"""What can be written."""


def command(
    data: DataOption,
    bundle: BundleArgument = None,
    split: Annotated[
        str,
        typer.Option(
            help="The photos to measure on: test, or validation (what training held out)."
        ),
    ] = "validation",
    of: Annotated[
        str | None,
        typer.Option(help="The family to print and draw.", show_default="any product"),
    ] = None,
    output: Annotated[
        Path | None,
        output_option("Write a page (.html) or only the plot (.png, .svg)."),
    ] = None,
    seed: SeedOption = 0,
    threads: ThreadsOption = 2,
    *,
    as_json: JsonOption = False,
) -> None:
    """Measure recall and false-positive rate on photos altered as phones and platforms do.

    The threshold stays at a false-positive rate of 1 % on the unaltered photos.
    """
    require_extra("evaluate")
    from recognizer.engine import Recognizer
    from recognizer.evaluation.evaluate import ANY_PRODUCT, to_json
    from recognizer.evaluation.held_out import photos_of_split
    from recognizer.evaluation.robustness import measure_robustness

    _check_place(output)
    recognizer = Recognizer.load(bundle, threads=1)
    name = ANY_PRODUCT if of is None else of
    families = [family.name for family in recognizer.bundle.families]
    if of is not None and of not in families:
        raise UsageError(f"--of {of}: one of {', '.join(families)}")
    photos = photos_of_split(recognizer.bundle, load_data(data), split)
    with show_stage("altering photos") as progress:
        found = measure_robustness(
            recognizer, photos, split, seed=seed, threads=threads, on_progress=progress
        )
    if name not in found.outcomes:
        raise UsageError(f"--of {name}: no photo of it in the {split} split")
    if as_json:
        typer.echo(to_json(found))
    else:
        _print(found, name)
    if output is not None:
        from recognizer.evaluation.plots import write_robustness

        write_robustness(found, name, output)
        typer.echo(f"Wrote {output}", err=True)


def _check_place(output: Path | None) -> None:
    """Check before minutes of work that the file can be written."""
    if output is not None:
        if output.suffix.lower() not in PLOTS:
            raise UsageError(f"--output {output}: the name must end in {', '.join(sorted(PLOTS))}")
        if output.suffix.lower() == ".html":
            require_page(output)
        check_place(output)


def _print(found: Robustness, name: str) -> None:
    table = new_table(
        f"{found.bundle}: {name}, {found.split}; threshold {found.thresholds[name]:.4f}",
        ("alteration", "photos", "recall", "AP", "score", "FPR"),
        "unaltered > altered (95 %), same photos; score: mean change of the positives",
    )
    for o in found.outcomes[name]:
        table.add_row(
            f"{o.alteration}: {o.strength}",
            f"{o.positives} ({o.negatives})",
            f"{o.recall_before.value:.3f} > {o.recall}",
            f"{o.average_precision_before:.3f} > {o.average_precision:.3f}",
            f"{o.score_change:+.3f}",
            f"{o.false_positive_rate_before.value:.3f} > {o.false_positive_rate}",
        )
    console = wide_console()
    console.print(table)
    if found.on_object:
        title = "share of the heat-map on the object; share of the picture it takes"
        focus = new_table(title, ("label", "photos", "heat", "area"))
        for f in found.on_object:
            focus.add_row(f.label, str(f.photos), f"{f.heat:.2f}", f"{f.area:.2f}")
        console.print(focus)
