"""``recognizer compare``: two journals side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer._atomic import require_page
from recognizer.cli.options import (
    JsonOption,
    RowsBundleOption,
    bundles_behind,
    output_option,
    print_json,
)
from recognizer.cli.progress import new_table, wide_console, working

if TYPE_CHECKING:
    from recognizer.review.compare import Comparison


def command(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="The rows of a scan (JSONL).")],
    after: Annotated[
        Path,
        typer.Argument(
            metavar="AFTER",
            help="The rows of a later scan, or of one with another model or policy.",
        ),
    ],
    output: Annotated[
        Path | None, output_option("Also write a page with the largest changes, as one file.")
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            "--group-by",
            metavar="COLUMN",
            help="Group images by this column of their listings.",
            show_default="by host, bucket, archive or folder",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="How many of the largest changes to keep.")] = 100,
    bundle: RowsBundleOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which decisions changed, how far scores moved, and the images that changed most.

    The population stability index (PSI) says how far the scores of a product moved: 0.1 is a
    change, and 0.25 a large one, unless chance alone explains it.
    """
    from recognizer.review.compare import compare, write_comparison

    if output is not None:
        require_page(output)
    bundles = bundles_behind(bundle)
    with working(f"Comparing {before} and {after}"):
        found = compare(before, after, bundles, by=group_by, top=top)
        if output is not None:
            write_comparison(found, output, (before, after))
    if as_json:
        print_json(found.to_json())
        return
    _print(found)
    if output is not None:
        typer.echo(f"Wrote {output}")


def _print(found: Comparison) -> None:
    first, second = found.sides
    typer.echo(
        f"{first.images:,} images before, {second.images:,} after, {found.common:,} in both; "
        f"{found.changed:,} decided otherwise"
    )
    for (before, after), count in sorted(found.decisions.items()):
        if before is not after:
            typer.echo(f"{before} to {after}: {count:,}")
    if not found.products:
        return
    table = new_table(
        "Scores by product",
        ["product", "PSI", "by chance", "mean before", "mean after", "leads before", "leads after"],
    )
    for name, one in found.products.items():
        mark = " !!" if one.is_large else " !" if one.is_changed else ""
        means = (one.mean_before or 0.0, one.mean_after or 0.0)
        leads = (first.leads[name], second.leads[name])
        table.add_row(
            name,
            f"{one.psi or 0.0:.3f}{mark}",
            f"{one.chance or 0.0:.3f}",
            *(f"{mean:.4f}" for mean in means),
            *(f"{count:,}" for count in leads),
        )
    wide_console().print(table)
    moved = [
        f"{source}: {name} {one.psi:.3f}"
        for source, products in found.sources.items()
        for name, one in products.items()
        if one.is_changed
    ]
    for line in moved[:_MAX_LINES]:
        typer.echo(f"Moved in {line}")
    if len(moved) > _MAX_LINES:
        typer.echo(f"and {len(moved) - _MAX_LINES} more (--json has all)")


_MAX_LINES = 20
