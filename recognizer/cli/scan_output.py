"""What ``recognizer scan`` shows: progress on standard error, results on standard output."""

from __future__ import annotations

import heapq
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from recognizer._closing import Closes
from recognizer.model.bundle import Bundle
from recognizer.policy import Decision
from recognizer.rows import Journal, Row, ScanSummary
from recognizer.rows.summary import is_lead, lead_names
from recognizer.scan import Passed, Shard
from recognizer.scan.locations import count
from recognizer.status import Status
from recognizer.taxonomy import Kind

LISTED_INPUTS = 30
"""Up to so many photos, each has a line in the table; of more, only leads are shown."""

LISTED_LEADS = 20
_PLAIN_SECONDS = 5.0  # between two lines of progress where there is no terminal
_PLAIN_WIDTH = 160  # columns of a table where there is no terminal
_DECISION_STYLES: Mapping[str, str] = {
    Decision.PRIORITY: "bold red",
    Decision.REVIEW: "yellow",
    Decision.CLEAR: "dim",
}

NO_VERDICT = (
    "A lead is a photo that somebody should look at. It is no verdict: a photo is no "
    "identification."
)


class Output(Closes):
    """Shows a scan while it runs and when it is done; it keeps few rows, however many come.

    Args:
        sources: as given; they are walked once more in the background, to know how many there
            are and so how long it takes.
        journal: whose rows are shown.
        shard: the part of them that is scanned.
        image_column: the column with the images of tables; None to find it.
        quiet: show nothing.
    """

    def __init__(
        self,
        sources: Sequence[str],
        journal: Journal,
        shard: Shard,
        image_column: str | None = None,
        *,
        quiet: bool,
    ) -> None:
        self._journal = journal
        self._quiet = quiet
        self._errors = Console(stderr=True)
        self._first: dict[int, Row] = {}
        self._leads: list[tuple[tuple[bool, float, int], Row]] = []
        self._total: int | None = None
        self._sources = list(sources)
        self._shard = shard
        self._image_column = image_column
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
        if self._journal.torn_bytes and not self._quiet:
            self._errors.print(
                f"{self._journal.path}: cut off a torn last line of {self._journal.torn_bytes} "
                "bytes; its photo is scanned again",
                soft_wrap=True,
                markup=False,
            )
        if not self._quiet:
            threading.Thread(target=self._count, daemon=True).start()
        if self._progress is not None:
            self._progress.start()
        return self

    def close(self) -> None:
        """Clear the progress from the terminal."""
        if self._progress is not None:
            self._progress.stop()

    def on_rows(self, summary: ScanSummary, rows: Sequence[tuple[int, Row]]) -> None:
        """Take note of a batch; see :data:`recognizer.scan.run.OnRows`."""
        for index, row in rows:
            if index < LISTED_INPUTS:
                self._first[index] = row
            if is_lead(row):
                rank = (row["decision"] == Decision.PRIORITY, _lead_score(row), -index)
                push = heapq.heappush if len(self._leads) < LISTED_LEADS else heapq.heappushpop
                push(self._leads, (rank, row))
        if self._progress is not None:
            self._progress.update(
                self._task,
                description=progress_line(summary, self._total),
                completed=summary.images,
                total=self._total,
            )
        elif not self._quiet and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _PLAIN_SECONDS
            print(progress_line(summary, self._total), file=sys.stderr, flush=True)

    def print_results(
        self, summary: ScanSummary, passed: Passed, bundle: Bundle, report: Path | None
    ) -> None:
        """Print the table and the summary on standard output."""
        if self._quiet:
            return
        console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)
        if summary.images <= LISTED_INPUTS:
            rows = [row for _, row in sorted(self._first.items())]
            title = None
        else:
            rows = [row for _, row in sorted(self._leads, key=lambda lead: lead[0], reverse=True)]
            title = f"The first {len(rows)} of {sum(summary.decisions.values()):,} leads"
        if rows:
            console.print(results_table(rows, bundle, title))
        for line in summary_lines(summary, passed, bundle):
            console.print(line, markup=False, soft_wrap=True)
        console.print(f"Rows: {shown(str(self._journal.path))}", markup=False, soft_wrap=True)
        if report is not None:
            console.print(f"Report: {shown(str(report))}", markup=False, soft_wrap=True)

    def _count(self) -> None:
        # Where they cannot be counted, as on standard input, there is a rate, but no time left.
        self._total = count(self._sources, self._shard, image_column=self._image_column)


def progress_line(summary: ScanSummary, total: int | None) -> str:
    """Return one line on how far a scan is."""
    of = "" if total is None else f" of {total:,}"
    parts = [f"{summary.images:,}{of} photos", f"{summary.rate:.1f}/s"]
    if total is not None and summary.rate > 0:
        left = max(0, total - summary.images - summary.repeated) / summary.rate
        parts.append(f"{_duration(left)} left")
    parts.append(_count(sum(summary.decisions.values()), "lead"))
    if summary.failed:
        parts.append(f"{sum(summary.failed.values()):,} failed")
    return ", ".join(parts)


def results_table(rows: Sequence[Row], bundle: Bundle, title: str | None) -> Table:
    """Return a table with a line for each row."""
    folder = _common_folder([row["source"] for row in rows])
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    # Texts, because a plain string would be read for rich's markup.
    place = Text(f"photo in {shown(folder)}" if folder else "photo")
    for column in (place, "status", "decision", "most likely product"):
        table.add_column(column, overflow="fold")
    products = [label.name for label in bundle.labels if label.kind is Kind.PRODUCT]
    for row in rows:
        status = row["status"] if row["reason"] is None else f"{row['status']}: {row['reason']}"
        decision = row["decision"] or "not scored"
        table.add_row(
            Text(shown(row["source"].removeprefix(folder))),
            Text(status, "" if row["status"] == Status.OK else "magenta"),
            Text(decision, _DECISION_STYLES.get(decision, "magenta")),
            Text(_top_product(row, products)),
        )
    return table


def summary_lines(summary: ScanSummary, passed: Passed, bundle: Bundle) -> list[str]:
    """Return the closing summary, line by line."""
    if not summary.images:
        lines = ["No photos found."]
    else:
        before = f", {summary.skipped:,} of them done before" if summary.skipped else ""
        lines = [
            f"{_count(summary.images, 'photo')}{before}, in {_duration(summary.seconds)} "
            f"({summary.rate:.1f}/s) with {bundle.title}."
        ]
    if summary.statuses[Status.DEGRADED]:
        lines.append(f"Damaged or incomplete, but scored: {summary.statuses[Status.DEGRADED]:,}.")
    if summary.failed:
        lines.append(f"Failed, and so not cleared: {_listed(summary.failed)}.")
    if summary.repeated:
        lines.append(f"Given more than once: {summary.repeated:,}.")
    if passed.other_files or passed.hidden:
        lines.append(
            f"Passed over: {_count(passed.other_files, 'other file')}, "
            f"{passed.hidden:,} hidden. Name them to scan them."
        )
    if passed.without_image:
        rows = sum(imageless.rows for imageless in passed.without_image.values())
        lines.append(f"Rows of tables without an image: {rows:,}.")
    if passed.bad_metadata:
        lines.append(f"Metadata in archives that cannot be read: {passed.bad_metadata:,}.")
    if summary.leads:
        lines.append(
            f"Leads: {_listed(summary.decisions)}. They may show: {_listed(summary.leads)}."
        )
        lines.append(NO_VERDICT)
    elif summary.images:
        lines.append("No leads.")
    return lines


def warnings(passed: Passed) -> list[str]:
    """Return a line for each table with rows that name no image: some may name one elsewhere."""
    lines = []
    for table, imageless in passed.without_image.items():
        numbers = ", ".join(map(str, imageless.first))
        more = ", ..." if imageless.rows > len(imageless.first) else ""
        line = f"{table}: {_count(imageless.rows, 'row')} without an image ({numbers}{more})"
        if imageless.elsewhere:
            names = ", ".join(map(repr, sorted(imageless.elsewhere)))
            line += f"; some have a value in {names}, which was not read"
        lines.append(shown(line))
    return lines


def shown(path: str) -> str:
    """Return a path as a terminal can show it: undecodable and control characters are escaped."""
    text = path.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _common_folder(paths: Sequence[str]) -> str:
    """Return the folder that all paths begin with: it need not be said on each line."""
    try:
        folder = os.path.join(os.path.commonpath([os.path.dirname(path) for path in paths]), "")
    except ValueError:  # some are absolute and some are not
        return ""
    return folder if all(path.startswith(folder) for path in paths) else ""


def _lead_score(row: Row) -> float:
    return max((row["scores"][name] for name in lead_names(row)), default=0.0)


def _top_product(row: Row, products: Sequence[str]) -> str:
    if not row["scores"]:
        return ""
    scores = {name: row["scores"][name] for name in products if name in row["scores"]}
    if not scores:
        return ""
    name = max(scores, key=lambda product: scores[product])
    return f"{name} {scores[name]:.3f}"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
