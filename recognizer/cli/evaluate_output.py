"""What ``recognizer evaluate`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

from rich.console import Console
from rich.table import Table

from recognizer.cli.progress import new_table, wide_console
from recognizer.evaluation.evaluate import Evaluation, all_figures
from recognizer.evaluation.figures import MIN_FOR_CALIBRATION, Figures
from recognizer.evaluation.out_of_fold import FoldEvaluation
from recognizer.evaluation.paired import PairedChange, PairedEvaluation
from recognizer.evaluation.robustness import Robustness
from recognizer.model.description import Estimate
from recognizer.policy import FALSE_POSITIVE_RATES


def print_evaluation(evaluation: Evaluation, worth: str) -> None:
    """Print the tables of an evaluation, and what its figures are worth."""
    console = wide_console()
    table = _figures_table(
        f"{evaluation.bundle}, {evaluation.split}: {evaluation.negatives} negatives from "
        f"{evaluation.negative_sources} sources"
    )
    table.caption = (
        "in brackets 95 % intervals: exact for recall, with the threshold taken as fixed; by "
        f"bootstrap over {evaluation.intervals} for AP and AUC"
    )
    families = {f.name for f in evaluation.families}
    for f in all_figures(evaluation):
        is_family = f.name in families and f in evaluation.families
        _add_figures(table, f"{f.name} (family)" if is_family else f.name, f)
    console.print(table)
    console.print(worth)
    errors = [
        f"{f.name} {f.calibration_error}"
        for f in all_figures(evaluation)
        if f.calibration_error is not None
    ]
    console.print(
        f"expected calibration error, with at least {MIN_FOR_CALIBRATION} photos: "
        + (", ".join(errors) or "none")
    )
    few = [f"{f.name} {' '.join(map(str, f.ranks))}" for f in evaluation.labels if f.ranks]
    if few:
        console.print(
            f"ranks among the {evaluation.negatives} negatives, for products with few photos: "
            + "; ".join(few)
        )
    _print_reports(console, evaluation)
    _print_lookalikes(console, evaluation)
    for animal in evaluation.living:
        console.print(
            f"{animal.name}, {animal.photos} photos: called a product "
            f"{animal.called_product.as_percent()}, sent to review {animal.flagged.as_percent()}"
        )
    flagged = evaluation.flagged_negatives
    console.print(
        f"default policy, one threshold for all products: {flagged.as_percent()} of the photos "
        "without a product go to review; of those with one (in brackets: under its name) "
        + ", ".join(
            f"{name} {of.leads} ({of.named}) of {of.photos}"
            for name, of in evaluation.leads.items()
        )
        + "\n"
        f"label with the highest score: right for {evaluation.accuracy.as_percent()}"
    )
    # The validation photos set the thresholds, so the thresholds cannot be tested on them.
    if evaluation.split != "validation":
        _print_operating_points(console, evaluation)


def print_folds(found: FoldEvaluation) -> None:
    """Print what each fold of sources says, when it was left out."""
    headings = ("", "photos", "negatives", "to review", "products", "leads", "average precision")
    table = new_table("fold by fold, with the default policy", headings)
    for number, evaluation in found.folds.items():
        leads = evaluation.leads.values()
        precision = (
            f"{f.name} {f.average_precision.value:.2f}"
            for f in all_figures(evaluation)
            if f.average_precision is not None
        )
        table.add_row(
            f"fold {number}",
            str(evaluation.photos),
            str(evaluation.negatives),
            evaluation.flagged_negatives.as_percent(),
            str(sum(of.photos for of in leads)),
            str(sum(of.leads for of in leads)),
            ", ".join(precision) or "-",
        )
    wide_console().print(table)


def _print_reports(console: Console, evaluation: Evaluation) -> None:
    table = new_table(
        "label by label, among all photos",
        ("", "photos", *("precision", "recall", "F1"), *("precision at 1.0%", "recall", "F1")),
        "by the label with the highest score; of products, also by the bundle's own threshold",
    )
    for report in evaluation.reports:
        cells = (*astuple(report.highest), *(astuple(report.over) if report.over else ()))
        table.add_row(
            report.name,
            str(report.photos),
            *("-" if value is None else f"{value:.2f}" for value in cells),
        )
    console.print(table)


def _print_lookalikes(console: Console, evaluation: Evaluation) -> None:
    group = evaluation.lookalikes
    if group is None:
        return
    parts = [
        f"{name} {estimate.value:.0%} of {group.counts[name]}"
        for name, estimate in group.by_label.items()
    ]
    console.print(
        f"{group.family} and its look-alikes distinguished: {group.accuracy.as_percent()} of "
        f"{group.photos} photos; mean over names {group.mean_accuracy:.1%}: {', '.join(parts)}"
    )


def _print_operating_points(console: Console, evaluation: Evaluation) -> None:
    table = new_table(
        f"the bundle's thresholds, if {evaluation.prevalence:.3%} of the photos show a product",
        ("", "set for", "recall", "false positives", "rate", "precision there", "needed"),
        "precision with a conservative interval of at least 95 %; negatives needed, none over the "
        "threshold, to show with 95 % confidence that the false-positive rate is at most that",
    )
    for name, points in evaluation.operating_points.items():
        for point in points:
            if point.recall is None:
                continue
            table.add_row(
                name,
                f"{point.rate:.1%}",
                _cell(point.recall),
                str(point.false_positives),
                point.false_positive_rate.as_percent(),
                point.precision_in_words,
                f"{point.negatives_without_error:,}",
            )
    console.print(table)


def print_comparison(comparison: PairedEvaluation) -> None:
    """Print the paired differences of two bundles."""
    table = new_table(
        f"{comparison.bundle} against {comparison.against}, {comparison.split}: "
        f"{comparison.negatives} negatives",
        ("", "photos (sources)", "AP", "difference", "recall at 1.0%", "difference"),
        "before -> now, and the difference with its paired 95 % bootstrap interval over "
        f"{comparison.intervals}; with fewer than about ten photos it is too narrow",
    )
    for row in comparison.families:
        table.add_row(
            row.name,
            f"{row.photos} ({row.sources})",
            *_change(row.average_precision),
            *_change(row.recall),
        )
    wide_console().print(table)


def print_robustness(found: Robustness, name: str) -> None:
    """Print the figures of a family, or any product, under each alteration."""
    table = new_table(
        f"{found.bundle}: {name}, {found.split}; threshold {found.thresholds[name]:.4f}",
        ("alteration", "photos", "recall", "score", "FPR"),
        "unaltered > altered (95 %), same photos; score: mean change of the positives",
    )
    for o in found.outcomes[name]:
        table.add_row(
            f"{o.alteration}: {o.strength}",
            f"{o.positives} ({o.negatives})",
            f"{o.recall_before.value:.3f} > {o.recall}",
            f"{o.score_change:+.3f}",
            f"{o.false_positive_rate_before.value:.3f} > {o.false_positive_rate}",
        )
    wide_console().print(table)


def _change(change: PairedChange) -> tuple[str, str]:
    d = change.difference
    return (
        f"{change.before:.3f} -> {change.now:.3f}",
        f"{d.value:+.3f} ({d.low:+.2f} to {d.high:+.2f})",
    )


def _figures_table(title: str) -> Table:
    recalls = (f"recall at {rate:.1%}" for rate in FALSE_POSITIVE_RATES)
    return new_table(title, ("", "photos (sources)", "AP", "AUC", *recalls))


def _add_figures(table: Table, name: str, f: Figures) -> None:
    cells: Sequence[str] = [
        f"{f.photos} ({f.sources})",
        _cell(f.average_precision),
        _cell(f.area_under_roc),
        *(_cell(f.recall.get(rate)) for rate in FALSE_POSITIVE_RATES),
    ]
    table.add_row(name, *cells)


def _cell(estimate: Estimate | None) -> str:
    return "-" if estimate is None else str(estimate)
