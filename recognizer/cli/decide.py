"""``recognizer decide``: the decisions of another policy, from the scores of a scan."""

from typing import Annotated

import typer

from recognizer.cli import options
from recognizer.cli.inputs import bundles_behind
from recognizer.cli.options import print_json
from recognizer.cli.progress import print_table, working
from recognizer.policy import Policy
from recognizer.rows import DecisionDiff, ScanFile, decide_again, group_copies


def command(
    scan: options.ScanArgument,
    policy: options.PolicyOption,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would change, and change nothing.")
    ] = False,
    bundle: options.RowsBundleOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Apply another policy to the scores of a scan, and print which decisions change.

    No image is read and no model is run. The rows that change are changed in the scan's file, all
    or none of them.
    """
    bundles = bundles_behind(bundle)
    rules = Policy.load(policy, bundles[0].taxonomy)
    with ScanFile(scan, write=not dry_run) as file, working(f"Deciding {scan}"):
        diff = decide_again(file, rules, bundles, dry_run=dry_run)
        if not dry_run:
            group_copies(file)
    if as_json:
        print_json(diff.to_json())
        return
    print_diff(diff)
    done = "would be decided" if dry_run else "decided"
    typer.echo(f"{scan}: {diff.rows:,} rows {done} by {rules.name!r}")


def print_diff(diff: DecisionDiff) -> None:
    """Print which decisions and leads changed."""
    from recognizer.rows.deciding import LEAD_COUNTS

    if diff.leads:
        print_table(
            "Leads by product",
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
