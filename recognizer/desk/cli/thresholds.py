"""``recognizer thresholds`` chooses the thresholds of a policy for a review team."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from recognizer._files import replacing, require_own
from recognizer.cli import ExitCode, options
from recognizer.cli.options import output_option, print_json
from recognizer.cli.progress import print_table, say, show_progress
from recognizer.desk.cli.outcomes import share_cell
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from recognizer.desk.thresholds import Choice
    from recognizer.model.bundle import Bundle

MAX_STEPS = 12  # choices that are printed


def thresholds_command(
    scan: options.ScanOption,
    outcomes: options.OutcomesOption = None,
    bundle: options.BundleOption = None,
    policy: options.ScanPolicyOption = None,
    reviewers: Annotated[int, Option(help="Reviewers at work each day.", min=1)] = 1,
    cases_per_reviewer: Annotated[
        int | None, Option(help="Leads that one reviewer works through in a day.", min=1)
    ] = None,
    precision: Annotated[float | None, Option(help="The share of leads with a product.")] = None,
    photos_per_day: Annotated[
        int | None, Option(help="Photos scanned a day.", min=1, show_default="as scanned")
    ] = None,
    output: Annotated[Path | None, output_option("The policy to write (TOML).")] = None,
    *,
    as_json: options.JsonOption = False,
) -> None:
    """Print leads, recall and precision of thresholds, and choose the one that fits a team.

    They are measured by the outcomes of a scan, each distinct image once, whatever the number of
    its listings. The choice is the loosest threshold whose leads the team can work through, or of
    whose leads enough show a product (--precision). All other rules come from --policy. Intervals
    are 95 % intervals. The exit code is 3, and nothing is written, if no threshold can be chosen.
    """
    from recognizer.desk.measure import distinct_images
    from recognizer.desk.outcomes import open_reviewed
    from recognizer.desk.thresholds import choose, measure_reviewed, policy_of
    from recognizer.model.bundle import bundle_behind, bundles_behind
    from recognizer.policy.values import Policy, policy_toml

    if (cases_per_reviewer is None) == (precision is None):
        raise UsageError("give --cases-per-reviewer (and --reviewers), or --precision")
    if output is not None:
        require_own(output, "policy that this command wrote", lambda f: f.read(8) == b"# Chosen")
    with open_reviewed(scan, outcomes) as (file, stored), show_progress(f"Reading {scan}"):
        if (row := next(file.rows(), None)) is None:
            raise UsageError("the scan has no rows")
        model = bundle_behind(row.model, bundles_behind(bundle and [bundle]))
        own = Policy.load(policy, model.taxonomy) if policy else file.policy(model.taxonomy)
        base = own or Policy()
        measured = measure_reviewed(
            model,
            distinct_images(file),
            stored.decided(),
            images_per_day=photos_per_day,
            ignore=base.ignore,
        )
    if base.rules:
        names = ", ".join(name for _, name in base.rules)
        note = f"The rules of {base.name!r} for {names} are kept: their leads are not counted here."
        measured = replace(measured, notes=(note, *measured.notes))
    capacity = cases_per_reviewer and reviewers * cases_per_reviewer
    choice = choose(measured, capacity=capacity, precision=precision)
    if as_json:
        print_json(choice)
    else:
        _print_choice(choice, model)
    if choice.step is None:
        say("No threshold was chosen" + (f"; {output} was not written" if output else ""))
        raise typer.Exit(ExitCode.SOME_FAILED)
    if output is not None:
        goal = f"{capacity:,} leads" if capacity else f"a precision of {precision:.0%}"
        comments = (
            f"Chosen for {model.title} ({model.digest[:12]}) and {goal}, from {choice.origin}.",
            "Probabilities hold for this bundle alone.",
        )
        chosen = policy_of(choice, choice.step, base, output.stem)
        with replacing(output) as partial_file:
            partial_file.write_text(policy_toml(chosen, comments), encoding="utf-8")
        say(f"Wrote {output}")


def _print_choice(choice: Choice, bundle: Bundle) -> None:
    last = len(choice.steps) - 1
    shown = {choice.chosen, *(round(i * last / (MAX_STEPS - 1)) for i in range(MAX_STEPS))}
    rows = [
        [
            ">" if position == choice.chosen else "",
            f"{step.leads:,.0f}",
            share_cell(step.recall),
            share_cell(step.precision),
            f"{step.threshold:.4g}",
        ]
        for position, step in enumerate(choice.steps)
        if position in shown
    ]
    if rows:
        title = f"{bundle.title}: of {choice.images:,.0f} images; figures from {choice.origin}"
        print_table(title, ("", "distinct leads", "recall, %", "precision, %", "threshold"), rows)
    for note in choice.notes:
        typer.echo(f"- {note}")
