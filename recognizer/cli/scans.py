"""The verbs for scans that are done: ``decide``, ``rows``, ``merge``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from recognizer.cli import options
from recognizer.cli.options import output_option
from recognizer.cli.progress import print_table, show_progress

if TYPE_CHECKING:
    from recognizer.rows import DecisionDiff


def decide_command(
    scan: options.ScanArgument,
    policy: options.PolicyOption,
    dry_run: Annotated[bool, Option("--dry-run", help="Only print what would change.")] = False,
    bundle: options.RowsBundleOption = None,
) -> None:
    """Apply another policy to the scores of a scan, and print which decisions change.

    No image is read and no model is run. The rows that change are changed in the scan's file, all
    or none of them; while a scan writes it, this is refused.
    """
    from recognizer.model.bundle import bundles_behind
    from recognizer.policy.values import Policy
    from recognizer.rows import Ranking, ScanFile, ScanWriter, decide_again, group_copies

    bundles = bundles_behind(bundle)
    rules = Policy.load(policy, bundles[0].taxonomy)
    ScanFile(scan).close()  # which must be there: a writer would make it
    opened = ScanFile(scan) if dry_run else ScanWriter(scan, Ranking(bundles))
    with opened as file, show_progress(f"Deciding {scan}"):
        diff = decide_again(file, rules, bundles, dry_run=dry_run)
        if not dry_run:
            group_copies(file)
    _print_diff(diff)
    done = "would be decided" if dry_run else "decided"
    typer.echo(f"{scan}: {diff.rows:,} rows {done} by {rules.name!r}")


def _print_diff(diff: DecisionDiff) -> None:
    from recognizer.rows.deciding import LEAD_COUNTS

    if diff.leads:
        print_table(
            "Images that are leads, by product",
            ["product", *LEAD_COUNTS],
            (
                [name, *(f"{counts[key]:,}" for key in LEAD_COUNTS)]
                for name, counts in sorted(diff.leads.items())
            ),
        )
    for (before, after), count in sorted(diff.decisions.items()):
        if before != after:
            typer.echo(f"{before} to {after}: {count:,}")
    same = sum(count for (before, after), count in diff.decisions.items() if before == after)
    typer.echo(f"As before: {same:,}")


def rows_command(
    scan: options.ScanArgument,
    output: Annotated[Path, output_option("The file to write: .jsonl or .csv.")],
    listings: Annotated[bool, Option("--listings", help="Write listings, in queue order.")] = False,
) -> None:
    """Export a scan: a row for each image, or with --listings for each listing.

    A listing has all its images, its title, price, seller and so on, the leads of all images,
    the policy's action, and the number of other listings with a near-copy of its best image.
    """
    from recognizer.rows import ScanFile, write_listings, write_rows

    with ScanFile(scan) as file, show_progress(f"Writing {output}"):
        if listings:
            written = f"{write_listings(file, output):,} listings"
        else:
            written = f"{write_rows(file, output):,} rows"
    typer.echo(f"Wrote {output}: {written}")


def merge_command(
    inputs: Annotated[list[Path], Argument(metavar="INPUT", help="Scans.")],
    output: Annotated[Path, output_option("The merged file.")],
    allow_mixed: Annotated[
        bool, Option("--allow-mixed", help="Merge rows of different models or policies.")
    ] = False,
) -> None:
    """Merge the shards of a scan (scan --shard), or separate scans, into one file.

    Of each image the latest row counts. Outcomes and thumbnails are merged too. The inputs stay as
    they are.
    """
    from recognizer.rows import merge

    with show_progress(f"Merging {len(inputs)} files"):
        merged = merge(inputs, output, allow_mixed=allow_mixed)
    left = f"{merged.superseded:,} superseded by later ones, {merged.outcomes:,} outcomes"
    typer.echo(f"Wrote {output}: {merged.rows:,} rows, {left}")
