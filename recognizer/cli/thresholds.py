"""``recognizer thresholds``: leads and recall of each choice of thresholds, and a policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer._atomic import check_place, replacing, require_own
from recognizer.cli import options
from recognizer.cli.evaluate import load_held_out, score
from recognizer.cli.inputs import bundle_behind, open_reviewed
from recognizer.cli.options import Split, output_option, print_json, require_extra
from recognizer.cli.progress import print_table, working
from recognizer.engine import Recognizer
from recognizer.errors import UsageError
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.model.description import Estimate
from recognizer.policy import Policy, policy_toml

if TYPE_CHECKING:
    from recognizer.review.thresholds import Choice

PLOTS = (".png", ".svg")
MAX_STEPS = 12  # choices that are printed


def thresholds_command(
    data: options.OptionalDataOption = None,
    scan: options.OptionalScanOption = None,
    outcomes: options.OutcomesOption = None,
    bundle: options.BundleOption = None,
    policy: options.OptionalPolicyOption = None,
    reviewers: Annotated[int, typer.Option(help="Reviewers who work on a day.", min=1)] = 1,
    cases_per_reviewer: Annotated[
        int | None, typer.Option(help="Leads that one reviewer works through in a day.", min=1)
    ] = None,
    precision: Annotated[
        float | None, typer.Option(help="The share of the leads that must show a product.")
    ] = None,
    photos_per_day: Annotated[
        int | None,
        typer.Option(help="Photos a day.", min=1, show_default="as scanned; with --data, 10000"),
    ] = None,
    prevalence: Annotated[
        float, typer.Option(help="With --data: the share of the photos that show a product.")
    ] = 0.0003,
    split: Annotated[
        Split, typer.Option(help="With --data: the photos; all, if training saw none of them.")
    ] = "test",
    output: Annotated[Path | None, output_option("The policy to write (TOML).")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw recall and precision over leads here (.png or .svg).")
    ] = None,
    *,
    as_json: options.JsonOption = False,
) -> None:
    """Print leads, recall and precision of thresholds, and choose the one that fits a team.

    From labelled photos (--data), or from what reviewers found out about a scan (--scan). Chosen
    is the loosest threshold whose leads the team can work through, or of whose leads enough show a
    product (--precision). The other rules are those of --policy. Intervals are 95 % intervals.
    Needs the extra `evaluate`.
    """
    require_extra("evaluate", "scipy", "sklearn", *(("matplotlib",) if plot else ()))
    from recognizer.review.thresholds import choose, measure_labelled, measure_reviewed, policy_of

    if (cases_per_reviewer is None) == (precision is None):
        raise UsageError("give --reviewers and --cases-per-reviewer, or --precision")
    if output is not None:
        require_own(output, "policy that this command wrote", lambda f: f.read(8) == b"# Chosen")
    if plot is not None:
        if plot.suffix.lower() not in PLOTS:
            raise UsageError(f"--plot {plot}: the name must end in {' or '.join(PLOTS)}")
        check_place(plot)
    if bool(data) == (scan is not None) or (data and outcomes):
        raise UsageError("give labelled photos (--data), or a scan that was reviewed (--scan)")
    if scan is not None:
        with open_reviewed(scan, outcomes) as (file, found_out), working(f"Reading {scan}"):
            if (row := next(file.rows(), None)) is None:
                raise UsageError("the scan has no rows")
            model = bundle_behind(row.model, bundle and [bundle])
            base = Policy.load(policy, model.taxonomy) if policy else Policy()
            measured = measure_reviewed(
                model,
                file.rows(),
                found_out.decided(),
                images_per_day=photos_per_day,
                ignore=base.ignore,
            )
    else:
        model = load_bundle(bundle)
        base = Policy.load(policy, model.taxonomy) if policy else Policy()
        photos = load_held_out(data or (), model, split)
        predictions = score(Recognizer(model), photos, "scoring photos")
        measured = measure_labelled(
            model,
            photos,
            [prediction.scores for prediction in predictions],
            images_per_day=photos_per_day or 10_000,
            prevalence=prevalence,
            origin=f"{len(photos):,} labelled photos ({split})",
            ignore=base.ignore,
        )
    capacity = cases_per_reviewer and reviewers * cases_per_reviewer
    choice = choose(measured, capacity=capacity, precision=precision)
    if as_json:
        print_json(choice)
    else:
        _print(choice, model)
    if output is not None:
        goal = f"{capacity:,} leads" if capacity else f"a precision of {precision:.0%}"
        kept = "" if choice.step else ", with the thresholds of before"
        comments = (
            f"Chosen for {model.title} ({model.digest[:12]}) and {goal}, from {choice.origin}"
            f"{kept}.",
            "Probabilities hold for this bundle alone; rates, for any.",
        )
        chosen = policy_of(choice, model, base, output.stem)
        with replacing(output) as partial_file:
            partial_file.write_text(policy_toml(chosen, comments), encoding="utf-8")
        typer.echo(f"Wrote {output}{kept}", err=True)
    if plot is not None and choice.steps:
        from recognizer.evaluation.plots import draw_steps, write_figure

        steps = [(step.leads, step.recall, step.precision) for step in choice.steps]
        write_figure(draw_steps(steps, choice.chosen, capacity), plot)
        typer.echo(f"Wrote {plot}", err=True)


def _print(choice: Choice, bundle: Bundle) -> None:
    last = len(choice.steps) - 1
    shown = {round(i * last / (MAX_STEPS - 1)) for i in range(MAX_STEPS)} if choice.steps else set()
    shown |= {choice.chosen} if choice.chosen is not None else set()
    print_table(
        f"{bundle.title}: {choice.images:,.0f} images, from {choice.origin}",
        ("", "leads", "recall", "precision", "threshold"),
        (
            [
                ">" if place == choice.chosen else "",
                _count(step.leads),
                str(step.recall) if step.recall else "-",
                step.precision.as_percent() if step.precision else "-",
                f"{step.threshold:.4g}",
            ]
            for place, step in enumerate(choice.steps)
            if place in shown
        ),
    )
    for note in choice.notes:
        typer.echo(f"- {note}")


def _count(estimate: Estimate) -> str:
    if estimate.low == estimate.high:
        return f"{estimate.value:,.0f}"
    return f"{estimate.value:,.0f} ({estimate.low:,.0f}-{estimate.high:,.0f})"
