"""``recognizer measure``: what the outcomes say of a scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from recognizer.cli import options
from recognizer.cli.inputs import open_reviewed
from recognizer.cli.options import print_json, require_extra
from recognizer.cli.progress import print_table, working
from recognizer.model.description import counted

if TYPE_CHECKING:
    from recognizer.review.measure import Measurement, Precision


def command(
    scan: options.ScanArgument,
    outcomes: options.OutcomesOption = None,
    *,
    as_json: options.JsonOption = False,
) -> None:
    """Measure a scan by what reviewers found out: precision and misses.

    Intervals are 95 % intervals. Misses need an audit sample (`recognizer scan --audit-rate`).
    Needs the extra `evaluate`.
    """
    require_extra("evaluate", "scipy")
    from recognizer.review.measure import measure_outcomes

    with open_reviewed(scan, outcomes) as (file, found_out), working("Measuring"):
        found = measure_outcomes(file.rows(), found_out.decided())
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: Measurement) -> None:
    print_table(
        f"{found.leads:,} leads of {counted(found.images, 'image')}, {found.decided:,} decided",
        [
            *("product", "level", "confirmed", "as this product", "rejected", "open"),
            *("precision, %", "of this product, %"),
        ],
        map(_cells, found.precision),
        "confirmed: as whatever wildlife product",
    )
    if found.misses is None:
        typer.echo("Misses: unknown; no image of an audit sample was decided.")
        return
    misses = found.misses
    typer.echo(
        f"Misses: {misses.found} of {misses.audited} audited images ({misses.drawn} drawn of "
        f"{misses.cleared:,} clear) show a product: an estimated "
        f"{misses.rate.as_percent()} of the clear images"
    )
    if misses.recall is not None:
        typer.echo(f"Recall: {misses.recall.as_percent()}")


def _cells(found: Precision) -> list[str]:
    name = found.name or "all"
    name = f"{name} (family)" if found.kind == "family" else name
    numbers = (found.confirmed, found.as_product, found.rejected, found.open)
    shares = (
        "-" if share is None else share.as_percent().replace(" %", "")
        for share in (found.precision, found.product_precision)
    )
    return [name, found.level, *map(str, numbers), *shares]
