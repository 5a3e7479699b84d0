"""What ``recognizer scan`` shows: progress on standard error, results on standard output."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from recognizer._closing import Closes
from recognizer.cli.progress import duration, shown
from recognizer.model.bundle import Bundle
from recognizer.policy import Decision
from recognizer.rows import Row, ScanFile, ScanSummary
from recognizer.scan import Lookahead, Skipped
from recognizer.status import Reason, Status

LISTED_INPUTS = 30
"""Up to this many images, each has a line in the table; of more, only leads are shown."""

LISTED_LEADS = 20
_PLAIN_SECONDS = 5.0  # between two lines of progress where there is no terminal
_NAMED_COLUMNS = 10  # of a table, in the summary
_MISPLACED = {Reason.NOT_FOUND, Reason.SOURCE_REFUSED}
_PLAIN_WIDTH = 160  # columns of a table where there is no terminal
_DECISION_STYLES: Mapping[str, str] = {
    Decision.PRIORITY: "bold red",
    Decision.REVIEW: "yellow",
    Decision.CLEAR: "dim",
    Decision.UNSCORED: "magenta",
}

NO_VERDICT = (
    "A lead is an image that somebody should look at, not a verdict: a photo does not identify a "
    "product."
)


class Output(Closes):
    """Shows a scan while it runs and when it is finished."""

    def __init__(self, items: Lookahead, *, quiet: bool) -> None:
        self._items = items
        self._quiet = quiet
        self._errors = Console(stderr=True)
        self._next_line = time.monotonic() + _PLAIN_SECONDS
        self._progress: Progress | None = None
        if not quiet and self._errors.is_terminal:
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                console=self._errors,
                transient=True,
            )
            self._task = self._progress.add_task("loading the model", total=None)

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def close(self) -> None:
        """Clear the progress from the terminal."""
        if self._progress is not None:
            self._progress.stop()

    def on_rows(self, summary: ScanSummary, _: Sequence[tuple[int, Row]]) -> None:
        """Show how far a scan is; see :data:`recognizer.scan.run.OnRows`."""
        total = self._items.total
        line = progress_line(summary, total)
        if self._progress is not None:
            self._progress.update(
                self._task, description=line, completed=summary.images, total=total
            )
        elif not self._quiet and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _PLAIN_SECONDS
            print(line, file=sys.stderr, flush=True)

    def print_results(
        self,
        file: ScanFile,
        summary: ScanSummary,
        skipped: Skipped,
        bundle: Bundle,
        report: Path | None,
    ) -> None:
        """Print the table and the summary on standard output."""
        if self._quiet:
            return
        console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)
        if len(file) <= LISTED_INPUTS:
            rows, title = [*file.rows()], None
        else:
            order = f"place, score DESC, image.id LIMIT {LISTED_LEADS}"
            rows = [row for _, row in file.numbered_rows("place < 2", (), order)]
            title = f"The first {len(rows)} of {summary.decisions.total():,} leads"
        if rows:
            console.print(results_table(rows, bundle, title))
        for line in summary_lines(summary, skipped, bundle):
            console.print(line, markup=False, soft_wrap=True)
        console.print(f"Scan: {shown(str(file.path))}", markup=False, soft_wrap=True)
        if report is not None:
            console.print(f"Report: {shown(str(report))}", markup=False, soft_wrap=True)


def as_plain(
    summary: ScanSummary, skipped: Skipped, bundle: Bundle, output: Path
) -> dict[str, Any]:
    """Return the results as values for JSON; the rows are in the file."""
    return {
        "scan": output,
        "bundle": bundle.title,
        "images": summary.images,
        "new": summary.scanned,
        "repeated": summary.repeated,
        "seconds": round(summary.seconds, 3),
        "provider": summary.provider,
        "statuses": summary.statuses,
        "failed": summary.failed,
        "decisions": summary.decisions,
        "leads": summary.leads,
        "audited": summary.audited,
        "without_image": summary.without_image,
        "skipped": {"other_files": skipped.other_files, "hidden": skipped.hidden},
    }


def progress_line(summary: ScanSummary, total: int | None) -> str:
    """Return one line on how far a scan is."""
    of = "" if total is None else f" of {total:,}"
    parts = [f"{summary.images:,}{of} images", f"{summary.rate:.1f}/s"]
    if total is not None and summary.rate > 0:
        left = max(0, total - summary.images - summary.repeated) / summary.rate
        parts.append(f"{duration(left)} left")
    parts.append(_count(sum(summary.decisions.values()), "lead"))
    if summary.failed:
        parts.append(f"{sum(summary.failed.values()):,} failed")
    return ", ".join(parts)


def results_table(rows: Sequence[Row], bundle: Bundle, title: str | None) -> Table:
    """Return a table with a line for each row."""
    folder = _common_folder([row.source for row in rows])
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    # Texts, because a plain string would be read for rich's markup.
    place = Text(f"image in {shown(folder)}" if folder else "image")
    for column in (place, "status", "decision", "most likely product"):
        table.add_column(column, overflow="fold")
    for row in rows:
        status = row.status if row.reason is None else f"{row.status}: {row.reason}"
        table.add_row(
            Text(shown(row.source.removeprefix(folder))),
            Text(status, "" if row.status is Status.OK else "magenta"),
            Text(row.decision, _DECISION_STYLES[row.decision]),
            Text(_top_product(row, bundle.products)),
        )
    return table


def summary_lines(summary: ScanSummary, skipped: Skipped, bundle: Bundle) -> list[str]:
    """Return the closing summary, line by line."""
    if not summary.images:
        lines = ["No images found."]
    else:
        before = f", {summary.skipped:,} of them done before" if summary.skipped else ""
        lines = [
            f"{_count(summary.images, 'image')}{before}, in {duration(summary.seconds)} "
            f"({summary.rate:.1f}/s) with {bundle.title}."
        ]
    if summary.statuses[Status.DEGRADED]:
        lines.append(f"Damaged or incomplete, but scored: {summary.statuses[Status.DEGRADED]:,}.")
    if summary.failed:
        lines.append(f"Failed, and so not cleared: {_listed(summary.failed)}.")
        if {*summary.failed} <= _MISPLACED and summary.failed.total() == summary.images:
            lines += [
                f"No image of {shown(table)} was found: name the folder where its paths begin "
                "(--image-root), and a new --output."
                for table in skipped.image_columns
            ]
    if summary.repeated:
        lines.append(f"Named more than once: {summary.repeated:,}.")
    if skipped.other_files or skipped.hidden:
        lines.append(
            f"Skipped: {_count(skipped.other_files, 'other file')}, "
            f"{skipped.hidden:,} hidden. Name them to scan them."
        )
    lines += [chosen_columns(table, names) for table, names in skipped.image_columns.items()]
    if skipped.bad_metadata:
        lines.append(f"Metadata in archives that cannot be read: {skipped.bad_metadata:,}.")
    if summary.decisions:
        products = f" They may show: {_listed(summary.leads)}." if summary.leads else ""
        lines += [f"Leads: {_listed(summary.decisions)}.{products}", NO_VERDICT]
    elif summary.images > summary.failed.total():
        lines.append("No leads.")
    if summary.audited:
        lines.append(
            f"Audit sample: {_count(summary.audited, 'clear image')}, drawn at random. Look at "
            "them too: what they show says how much was missed (recognizer measure)."
        )
    return lines


def chosen_columns(table: str, names: Iterable[str]) -> str:
    """Return a line on the columns that were taken for those of images."""
    quoted = [*map(repr, names)]
    more = f" and {len(quoted) - _NAMED_COLUMNS} more" if len(quoted) > _NAMED_COLUMNS else ""
    return shown(f"{table}: images from {', '.join(quoted[:_NAMED_COLUMNS])}{more}.")


def warnings(skipped: Skipped) -> list[str]:
    """Return a line for each table with rows that name no image: some may name one elsewhere."""
    lines = []
    for table, count in skipped.without_image.items():
        line = f"{table}: {_count(count, 'row')} without an image"
        if others := skipped.other_columns.get(table):
            names = ", ".join(map(repr, sorted(others)))
            line += f"; some have a value in {names}, which was not read"
        lines.append(shown(line))
    return lines


def _common_folder(paths: Sequence[str]) -> str:
    """Return the folder that all paths begin with."""
    try:
        folder = os.path.join(os.path.commonpath([os.path.dirname(path) for path in paths]), "")
    except ValueError:  # some are absolute and some are not
        return ""
    return folder if all(path.startswith(folder) for path in paths) else ""


def _top_product(row: Row, products: Sequence[str]) -> str:
    found = row.scores or {}
    scores = {name: found[name] for name in products if name in found}
    if not scores:
        return ""
    name = max(scores, key=lambda product: scores[product])
    return f"{name} {scores[name]:.3f}"


def _listed(counts: Counter[Any]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
