"""``recognizer decide``: the decisions of another policy, from the scores of a scan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli.options import (
    JournalArgument,
    JsonOption,
    PolicyOption,
    RowsBundleOption,
    bundles_behind,
    output_option,
    print_json,
)
from recognizer.cli.progress import new_table, wide_console, working

if TYPE_CHECKING:
    from recognizer.rows.deciding_lines import DecisionDiff


def command(
    journal: JournalArgument,
    output: Annotated[Path, output_option("The new journal, with one row for each image.")],
    policy: PolicyOption,
    bundle: RowsBundleOption = None,
    as_json: JsonOption = False,
) -> None:
    """Apply another policy to the scores of a scan, and print which decisions change.

    No photo is read and no model is run. The journal stays as it is, and the thumbnails and
    embeddings beside it are copied.
    """
    from recognizer._policy_file import load_policy
    from recognizer.rows.deciding import decide_again

    bundles = bundles_behind(bundle)
    rules = load_policy(policy, bundles[0].taxonomy)
    with working(f"Writing {output}"):
        diff = decide_again(journal, output, rules, bundles)
    if as_json:
        print_json(diff.to_json())
        return
    _print(diff)
    typer.echo(f"Wrote {output}: {diff.rows:,} rows, decided by {rules.name!r}")


def _print(diff: DecisionDiff) -> None:
    table = new_table("Leads by product", ["product", "before", "after", "come", "go"])
    for name in diff.products:
        numbers = (diff.before[name], diff.after[name], diff.come[name], diff.go[name])
        table.add_row(name, *(f"{number:,}" for number in numbers))
    if diff.products:
        wide_console().print(table)
    for (before, after), count in sorted(diff.decisions.items()):
        if before != after:
            typer.echo(f"{before} to {after}: {count:,}")
    same = sum(count for (before, after), count in diff.decisions.items() if before == after)
    typer.echo(f"As before: {same:,}")
