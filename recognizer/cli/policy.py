"""``recognizer policy`` checks a policy and shows it, ``thresholds`` chooses one for a team."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from recognizer._atomic import check_place, replacing, require_own
from recognizer.cli import options
from recognizer.cli.options import output_option, print_json, require_extra
from recognizer.cli.progress import print_table, working
from recognizer.desk.cli.inputs import bundle_behind, open_reviewed
from recognizer.engine import Recognizer
from recognizer.errors import UsageError
from recognizer.lab.cli.evaluate import load_held_out, score
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.model.description import Estimate, percent
from recognizer.policy.decide import limits_of
from recognizer.policy.values import CandidateKind, Policy, policy_path, policy_toml

if TYPE_CHECKING:
    from recognizer.desk.thresholds import Choice

PLOTS = (".png", ".svg")
MAX_STEPS = 12  # choices that are printed


def policy_command(
    policy: options.PolicyArgument,
    bundle: options.BundleOption = None,
    toml: Annotated[bool, Option("--toml", help="Print the file, to copy and change it.")] = False,
) -> None:
    """Check a policy, and show the thresholds of each product.

    The exit code is 2 if the policy breaks a rule.
    """
    model = load_bundle(bundle)
    rules = Policy.load(policy, model.taxonomy)
    for line in _warnings(rules, model):
        typer.echo(f"warning: {line}", err=True)
    if toml:
        typer.echo(policy_path(policy).read_text("utf-8"), nl=False)
        return
    typer.echo(f"Policy {rules.name!r} ({rules.digest})")
    print_table(
        f"Thresholds with {model.title}",
        ["product", "review over", "priority over", "rule"],
        _thresholds(rules, model),
        "--toml prints all other rules",
    )


def _thresholds(policy: Policy, bundle: Bundle) -> Iterator[list[str]]:
    """Yield the thresholds of each product and family, and whose rule they are."""
    for limits in limits_of(bundle, policy):
        kind, name = limits.candidate.kind, limits.candidate.name
        label = bundle.taxonomy.labels.get(name)
        family = label.family if label else None
        is_family = kind is CandidateKind.FAMILY
        own = (kind, name) in policy.rules
        of_family = not is_family and (CandidateKind.FAMILY, family) in policy.rules
        yield [
            f"{name} (family)" if is_family else name,
            *map(_level, (limits.review, limits.priority)),
            "its own" if own else f"of {family}" if of_family else "any product",
        ]


def _level(level: tuple[float, float | None]) -> str:
    threshold, rate = level
    return f"{threshold:.3f}" + ("" if rate is None else f" (FPR {rate:.1%})")


def _warnings(policy: Policy, bundle: Bundle) -> Iterator[str]:
    # What is allowed, and yet may not be meant.
    for kind, name in policy.rules:
        if name not in {candidate.name for candidate in bundle.candidates}:
            yield f"rules.{kind}.{name}: {bundle.title} does not recognise it"
    if policy.always_review.animals is not None and not bundle.animals:
        yield f"always_review.animals: {bundle.title} knows no living animals"
    if unspaced := [word for word in policy.keywords.words if _is_unspaced(word)]:
        yield (
            "keywords.words: languages without blanks between words need substrings: "
            + ", ".join(unspaced)
        )


def _is_unspaced(word: str) -> bool:
    scripts = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
    return any(unicodedata.name(character, "").startswith(scripts) for character in word)


def thresholds_command(
    data: options.OptionalDataOption = None,
    scan: options.OptionalScanOption = None,
    outcomes: options.OutcomesOption = None,
    bundle: options.BundleOption = None,
    policy: options.OptionalPolicyOption = None,
    reviewers: Annotated[int, Option(help="Reviewers who work on a day.", min=1)] = 1,
    cases_per_reviewer: Annotated[
        int | None, Option(help="Leads that one reviewer works through in a day.", min=1)
    ] = None,
    precision: Annotated[float | None, Option(help="The share of leads with a product.")] = None,
    photos_per_day: Annotated[
        int | None, Option(help="Photos a day.", min=1, show_default="as scanned; for --data 10000")
    ] = None,
    prevalence: Annotated[float, Option(help="With --data: the share with a product.")] = 0.0003,
    split: Annotated[
        options.Split, Option(help="With --data: the photos; all, if training saw none of them.")
    ] = "test",
    output: Annotated[Path | None, output_option("The policy to write (TOML).")] = None,
    plot: Annotated[Path | None, Option(help="Plot recall and precision (.png or .svg).")] = None,
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
    from recognizer.desk.thresholds import choose, measure_labelled, measure_reviewed, policy_of

    if (cases_per_reviewer is None) == (precision is None):
        raise UsageError("give --cases-per-reviewer (and --reviewers), or --precision")
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
        _print_choice(choice, model)
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
        from recognizer.lab.evaluation.plots import draw_steps, write_figure

        steps = [(step.leads, step.recall, step.precision) for step in choice.steps]
        write_figure(draw_steps(steps, choice.chosen, capacity), plot)
        typer.echo(f"Wrote {plot}", err=True)


def _print_choice(choice: Choice, bundle: Bundle) -> None:
    last = len(choice.steps) - 1
    shown = {round(i * last / (MAX_STEPS - 1)) for i in range(MAX_STEPS)} if choice.steps else set()
    shown |= {choice.chosen} if choice.chosen is not None else set()
    print_table(
        f"{bundle.title}: {choice.images:,.0f} images, from {choice.origin}",
        ("", "leads", "recall, %", "precision, %", "threshold"),
        (
            [
                ">" if place == choice.chosen else "",
                _count(step.leads),
                _share(step.recall),
                _share(step.precision),
                f"{step.threshold:.4g}",
            ]
            for place, step in enumerate(choice.steps)
            if place in shown
        ),
    )
    for note in choice.notes:
        typer.echo(f"- {note}")


def _share(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    if estimate.value == 1:  # "100" would be read as a promise
        return f"at least {percent(estimate.low)}"
    return estimate.as_percent().replace(" %", "")


def _count(estimate: Estimate) -> str:
    if estimate.low == estimate.high:
        return f"{estimate.value:,.0f}"
    return f"{estimate.value:,.0f} ({estimate.low:,.0f}-{estimate.high:,.0f})"
