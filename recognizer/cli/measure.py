"""``recognizer measure``: what the outcomes say of a scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recognizer.cli.options import JsonOption, OutcomesOption, ScanArgument, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from recognizer.model.description import Estimate
    from recognizer.review.measure import Measurement


def command(
    scan: ScanArgument,
    outcomes: OutcomesOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Measure a scan by what reviewers found out: precision, appeals, agreement, times, misses.

    Intervals are 95 % intervals. Misses need an audit sample (`recognizer scan --audit-rate`).
    Needs the extra `evaluate`.
    """
    from datetime import UTC, datetime

    from rich.console import Console

    from recognizer.cli.options import require_extra
    from recognizer.cli.progress import wide_console

    require_extra("evaluate", "scipy", "sklearn")
    from recognizer.review.measure import measure_outcomes
    from recognizer.review.outcomes import Outcomes
    from recognizer.rows import ScanFile

    with (
        ScanFile(scan) as file,
        Outcomes(outcomes or scan) as found_out,
        Console(stderr=True).status("Measuring"),
    ):
        found = measure_outcomes(file.rows(), found_out, now=datetime.now(UTC))
    if as_json:
        print_json(found)
        return
    _print(found, wide_console())


def _print(found: Measurement, console: Console) -> None:
    from recognizer.cli.progress import new_table
    from recognizer.model.description import counted

    table = new_table(
        f"{found.leads:,} leads of {counted(found.images, 'image')}, {found.decided:,} decided",
        [
            *("raised by", "level", "confirmed", "as this product", "rejected", "open"),
            *("precision, %", "of this product, %"),
        ],
        "confirmed: as whatever wildlife product",
    )
    for one in found.precision:
        name = _NAMES[one.kind].format(one.name)
        as_product = one.as_product if one.kind in {None, "label", "family"} else "-"
        numbers = (one.confirmed, as_product, one.rejected, one.open)
        shares = (_shown(one.precision), _shown(one.product_precision))
        table.add_row(name, one.level, *map(str, numbers), *shares)
    console.print(table)
    for heading, spans in (
        ("Time to the first outcome", found.time_to_decision),
        ("Waiting without an outcome", found.waiting),
    ):
        for level, hours in spans.items():
            console.print(
                f"{heading}, {level}: {counted(hours.count, 'lead')}, median {hours.median:.1f} h, "
                f"90th percentile {hours.p90:.1f} h"
            )
    if found.overturned is not None:
        console.print(
            f"Appeals: {found.appeals}, overturned {found.overturned.as_percent()}", highlight=False
        )
    for pair in found.agreement:
        kappa = "not defined" if pair.kappa is None else f"{pair.kappa:.2f}"
        names = " and ".join(pair.reviewers)
        console.print(
            f"Agreement of {names}: {pair.same} of {pair.subjects} alike, Cohen's kappa {kappa}",
            markup=False,
        )
    if found.misses is None:
        console.print("Misses: unknown; no image of an audit sample was decided.")
        return
    misses = found.misses
    console.print(
        f"Misses: {misses.found} of {misses.audited} audited images ({misses.drawn} drawn of "
        f"{misses.cleared:,} clear) show a product: an estimated "
        f"{misses.rate.as_percent()} of the clear images",
        highlight=False,
    )
    if misses.recall is not None:
        console.print(f"Recall: {misses.recall.as_percent()}", highlight=False)


_NAMES = {
    None: "all",
    "label": "{}",
    "family": "{} (family)",
    "keyword": "keyword {!r}",
    "reports": "reports by users",
}


def _shown(share: Estimate | None) -> str:
    return "-" if share is None else share.as_percent().replace(" %", "")
