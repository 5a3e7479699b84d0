"""``recognizer plan``: thresholds for a review team, and what to expect of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer._atomic import check_place, replacing, require_own
from recognizer.cli.options import (
    BundleArgument,
    JsonOption,
    OptionalDataOption,
    ThreadsOption,
    output_option,
    require_extra,
)
from recognizer.cli.progress import new_table, show_progress, wide_console
from recognizer.errors import DatasetError, TrainingError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from recognizer.model.bundle import Bundle
    from recognizer.model.description import Estimate
    from recognizer.review.plan import Plan, ScoredPhoto
    from recognizer.review.plan.evidence import Evidence, Level
    from recognizer.review.plan.planning import Step

PLOTS = frozenset({".png", ".svg"})
"""What the plot can be written as."""

MAX_STEPS = 9
"""Choices of thresholds that are printed."""

_WORTH = {
    "test": " of the test split",
    "validation": ", those on which the thresholds were set: too good to be true",
    "all": "",
}
"""What is said of the photos of a split."""


def command(
    photos_per_day: Annotated[int, typer.Option(help="Photos scanned a day.", min=1)],
    reviewers: Annotated[int, typer.Option(help="Reviewers who work on a day.", min=1)],
    cases_per_reviewer: Annotated[
        int, typer.Option(help="Leads that one reviewer works through in a day.", min=1)
    ],
    bundle: BundleArgument = None,
    prevalence: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SHARE|NAME=SHARE",
            help="Share of the photos that show a product: of all products together, or of a "
            "family, NAME=SHARE. May be repeated for families; those not named count as absent.",
            show_default="0.0003 together, mixed as in the labelled photos",
        ),
    ] = None,
    data: OptionalDataOption = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            help="With --data, write the scores of the photos to this file (CSV). Without --data, "
            "read them from it, which takes a second."
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            help="The photos to measure on: test; validation (what training held out); or all, if "
            "training saw none of them."
        ),
    ] = "test",
    output: Annotated[
        Path | None, output_option("Write a policy with the planned thresholds (TOML).")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw recall, queue and time here (.png or .svg).")
    ] = None,
    threads: ThreadsOption = 1,
    *,
    one_threshold: Annotated[
        bool,
        typer.Option(
            "--one-threshold", help="The same threshold for all products, whatever the evidence."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Choose thresholds whose queue a team can work through, and print what to expect of them.

    Without --data and --scores, the figures are those that the bundle carries. Queue, recall and
    precision have 95 % intervals. Thresholds are those that the bundle names, and others where
    enough labelled photos support them.
    """
    require_extra("evaluate", "scipy", *(("matplotlib",) if plot else ()))
    from recognizer.review.plan import (
        Workload,
        make_plan,
        planned_toml,
        policy_of,
    )

    if split not in _WORTH:
        raise UsageError(f"--split {split}: test, validation or all")
    _check_places(output, plot)
    workload = Workload(
        photos_per_day=photos_per_day,
        prevalence=_prevalence(prevalence or ()),
        reviewers=reviewers,
        cases_per_reviewer=cases_per_reviewer,
    )
    loaded, evidence = _evidence(bundle, data or (), split, scores, threads)
    plan = make_plan(loaded, evidence, workload, by_product=not one_threshold)
    if as_json:
        typer.echo(plan.to_json())
    else:
        _print(plan)
    if output is not None:
        with replacing(output) as partial_file:
            text = planned_toml(plan, policy_of(plan, loaded, output.stem))
            partial_file.write_text(text, encoding="utf-8")
        typer.echo(f"Wrote {output}", err=True)
    if plot is not None:
        from recognizer.review.plan.plot import write

        write(plan, plot)
        typer.echo(f"Wrote {plot}", err=True)


def _check_places(output: Path | None, plot: Path | None) -> None:
    """Check before minutes of work that the files can be written."""
    if output is not None:
        require_own(output, "planned policy", lambda file: file.read(9) == b"# Planned")
    if plot is not None:
        if plot.suffix.lower() not in PLOTS:
            raise UsageError(f"--plot {plot}: the name must end in {' or '.join(sorted(PLOTS))}")
        check_place(plot)


def _prevalence(values: Sequence[str]) -> float | dict[str, float]:
    from recognizer.evaluation.prevalence import DEFAULT_PREVALENCE

    if not values:
        return DEFAULT_PREVALENCE
    pairs = [value.rpartition("=") for value in values]
    try:
        shares = {name: float(share) for name, _, share in pairs}
    except ValueError as error:
        raise UsageError(f"--prevalence: {error}") from error
    if len(shares) < len(values) or ("" in shares and len(shares) > 1):
        raise UsageError("--prevalence: one SHARE, or a NAME=SHARE for each family, once")
    if not all(0 <= share < 1 for share in shares.values()):
        raise UsageError("--prevalence: shares of all photos, from 0 to 1")
    return shares.get("", shares)


def _evidence(
    name: str | None, data: Sequence[Path], split: str, scores: Path | None, threads: int
) -> tuple[Bundle, Evidence]:
    from recognizer.model.bundle import load_bundle
    from recognizer.review.plan import BundleEvidence, ScoredPhotos
    from recognizer.review.plan.scores import (
        is_scores,
        read_scores,
        write_scores,
    )

    bundle = load_bundle(name)
    if not data:
        if scores is None:
            return bundle, BundleEvidence(bundle=bundle)
        photos = read_scores(scores, bundle)
        return bundle, ScoredPhotos.of(bundle, photos, f"{len(photos):,} photos of {scores.name}")
    if scores is not None:
        require_own(scores, "table of scores", is_scores)
    photos = _score(bundle, data, split, threads)
    if scores is not None:
        write_scores(scores, bundle, photos)
        typer.echo(f"Wrote {scores}", err=True)
    return bundle, ScoredPhotos.of(
        bundle, photos, f"{len(photos):,} labelled photos{_WORTH[split]}"
    )


def _score(bundle: Bundle, data: Sequence[Path], split: str, threads: int) -> list[ScoredPhoto]:
    from rich.console import Console

    from recognizer.dataset.manifest import load_photos
    from recognizer.engine import Recognizer
    from recognizer.evaluation.evaluate import score_photos
    from recognizer.evaluation.held_out import corrected, photos_of_split
    from recognizer.review.plan import ScoredPhoto

    photos = [photo for folder in data for photo in load_photos(folder)]
    try:
        photos = corrected(bundle, photos)
    except (DatasetError, TrainingError) as error:
        typer.echo(f"Labels are used without the bundle's corrections: {error}", err=True)
    photos = photos_of_split(bundle, photos, split)
    recognizer = Recognizer.load(bundle.path, threads=threads)
    with show_progress(Console(stderr=True)) as report:
        predictions = score_photos(recognizer, photos, partial(report, "scoring photos"))
    return [
        ScoredPhoto(
            sha256=photo.sha256,
            label=photo.label,
            source=photo.source,
            families=prediction.families,
        )
        for photo, prediction in zip(photos, predictions, strict=True)
    ]


# --- what is printed ------------------------------------------------------------------------------


def _print(plan: Plan) -> None:
    console = wide_console()
    _print_products(console, plan)
    step = plan.step
    console.print(
        f"Expected: {_count(step.queue)} leads a day, {step.reviewers} reviewers; "
        f"recall {step.recall}; "
        + (
            f"{_percent(step.precision)} of the leads show a product"
            if step.precision
            else "no leads"
        ),
        soft_wrap=True,
    )
    _print_steps(console, plan)
    _print_audits(console, plan)
    for note in plan.notes:
        console.print(f"- {note}", markup=False, highlight=False)


def _print_products(console: Console, plan: Plan) -> None:
    headings = (
        *("product", "rule", "threshold", "set for FPR", "photos (sources)", "recall", "FPR"),
        *("precision", "leads a day", "time", "found a day"),
    )
    table = new_table(
        f"{plan.bundle}: {plan.photos_per_day:,} photos a day, {plan.prevalence:.4%} with a "
        f"product; {plan.reviewers} reviewers x {plan.cases_per_reviewer} cases = "
        f"{plan.capacity:,} a day",
        headings,
        f"from {plan.origin}; rule: its own, or that of any product; recall, FPR (false-positive "
        "rate) and precision: of what is over the threshold",
    )
    for column in table.columns:
        column.overflow = "fold"
    table.columns[0].no_wrap = True
    for product in plan.products:
        table.add_row(
            product.name,
            "own" if product.rule == product.name else "any" if product.rule else "none",
            f"{product.level.threshold:.4f}" if product.level else "-",
            _rate(product.level),
            f"{product.photos} ({product.sources})",
            str(product.recall) if product.recall else "-",
            _percent(product.false_positive_rate) if product.false_positive_rate else "-",
            _percent(product.precision) if product.precision else "-",
            f"{product.queue:,.0f}",
            f"{product.share_of_time:.0%}",
            f"{product.found:,.1f}",
        )
    console.print(table)


def _rate(level: Level | None) -> str:
    if level is None:
        return "-"
    return f"{level.rate:.2%}" if level.is_named else f"~{level.rate:.1g}"


def _percent(estimate: Estimate) -> str:
    """Return a share in percent; less than one in a million is none."""
    from recognizer.model.description import percent

    parts = (round(part, 6) for part in (estimate.value, estimate.low, estimate.high))
    value, low, high = map(percent, parts)
    return f"{value} % ({low}-{high})"


def _count(estimate: Estimate) -> str:
    return f"{estimate.value:,.0f} ({estimate.low:,.0f}-{estimate.high:,.0f})"


def _print_steps(console: Console, plan: Plan) -> None:
    table = new_table(
        "other choices, the chosen one marked",
        ("", "leads a day", "reviewers", "recall", "precision", "threshold of each rule"),
    )
    table.columns[-1].justify = "left"
    last = len(plan.steps) - 1
    shown = {round(i * last / (MAX_STEPS - 1)) for i in range(MAX_STEPS)} | {plan.chosen}
    for i in sorted(shown):
        step = plan.steps[i]
        table.add_row(
            ">" if i == plan.chosen else "",
            _count(step.queue),
            f"{step.reviewers:,}",
            str(step.recall),
            _percent(step.precision) if step.precision else "-",
            _levels(step),
        )
    console.print(table)


def _levels(step: Step) -> str:
    return ", ".join(f"{rule} {level.threshold:.3f}" for rule, level in step.levels.items())


def _print_audits(console: Console, plan: Plan) -> None:
    from recognizer.review.plan.audits import ASSURANCE

    if not plan.audits:
        return
    table = new_table(
        "cleared photos to audit, drawn at random, to claim a recall with 95 % confidence",
        ("recall at least", "missed at most", "if none is missed", "as expected"),
        f"expected: products in {plan.audits[0].expected:.2g} of the cleared photos; the audit "
        f"supports the claim with {ASSURANCE:.0%} probability",
    )
    for audit in plan.audits:
        table.add_row(
            f"{audit.recall:.0%}",
            f"{audit.allowed:.2g}",
            f"{audit.without_a_miss:,}",
            "no audit would"
            if audit.size is None
            else f"{audit.size.photos:,} with up to {audit.size.misses:,} products",
        )
    console.print(table)
