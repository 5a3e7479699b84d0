"""``recognizer decide``: the decisions of another policy, from the scores of a scan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli.options import JournalArgument
from recognizer.cli.progress import new_table, wide_console, working

if TYPE_CHECKING:
    from recognizer.rows.deciding import DecisionDiff


def command(
    journal: JournalArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The new journal, with one row for each image.")
    ],
    policy: Annotated[
        str,
        typer.Option(help="The policy (TOML; see docs/policy.md), or strict or small-platform."),
    ],
    bundle: Annotated[
        list[str] | None,
        typer.Option(
            "--bundle",
            "-b",
            help="A model behind the rows: a folder or a name. May be repeated.",
            show_default="found by its digest among the models of this package",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Decide again on all images of a scan, without a photo or a model, and print what changes.

    The journal stays as it is. Thumbnails and embeddings beside it are copied.
    """
    from recognizer._policy_file import load_policy
    from recognizer.model.bundle import load_bundle, load_carried_bundles
    from recognizer.rows.deciding import decide_again

    bundles = [*map(load_bundle, bundle or ()), *load_carried_bundles()]
    rules = load_policy(policy, bundles[0].taxonomy)
    with working(f"Writing {output}"):
        diff = decide_again(journal, output, rules, bundles)
    if as_json:
        typer.echo(json.dumps(diff.to_json()))
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
