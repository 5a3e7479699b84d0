"""Output of a scan: a line for each row or for the first leads, then a summary."""

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import msgspec
import typer

from recognizer.cli.progress import duration, say, shown
from recognizer.errors import counted
from recognizer.model.bundle import Bundle
from recognizer.policy.values import Decision, Policy
from recognizer.rows import Row, ScanFile, ScanSummary
from recognizer.rows.identity import shown_place
from recognizer.rows.queue import IS_LEAD
from recognizer.scan import Skipped
from recognizer.status import Reason, Status

LISTED_INPUTS = 30  # up to so many images, each has a line; of more, only the first leads
LISTED_LEADS = 20


def progress_line(summary: ScanSummary, total: int | None, latest: deque[Any]) -> str:
    """Return a line about a scan; its rate is that since the first of the ``latest`` counts."""
    done, of = summary.images + summary.without_image, "" if total is None else f" of {total:,}"
    latest.append((summary.seconds, done))
    since, before = latest[0]
    rate = (done - before) / max(summary.seconds - since, 0.001)
    parts = [f"{done:,}{of} images", f"{rate:.1f}/s"]
    if total is not None and rate > 0:
        parts.append(f"{duration(max(0, total - done - summary.repeated) / rate)} left")
    parts.append(f"{summary.to_review.total():,} to review")
    if summary.failed:
        parts.append(f"{summary.failed.total():,} failed")
    return ", ".join(parts)


def counts(summary: ScanSummary, skipped: Skipped) -> dict[str, Any]:
    """Return all counts of a scan, ready for JSON."""
    numbers = {"images": summary.images, **msgspec.to_builtins(summary)}
    return {**numbers, "other_files": skipped.other_files, "hidden_files": skipped.hidden}


def print_changes(file: ScanFile, policy: Policy, bundle: Bundle, *, is_given: bool) -> None:
    """Print what a scan does otherwise than those before it, on standard error."""
    if not is_given and policy.name != "default":
        say(f"Policy {policy.name!r}, as before (--policy names another)")
    if file.setting("policy") not in {None, policy.digest}:
        say(f"Policy {policy.name!r}; recognizer decide applies it to what is not scanned now")
    for _, earlier in file.models():
        if earlier.digest != bundle.digest:
            say(f"Scored by {earlier.title} before, now by {bundle.title}")


def print_results(file: ScanFile, summary: ScanSummary, skipped: Skipped, bundle: Bundle) -> None:
    """Print a line for each row or for the first leads, then a summary."""
    lines = [*_row_lines(file, summary.to_review.total())]
    lines += [*_summary(summary, skipped, bundle.title), f"Scan: {shown(str(file.path))}"]
    typer.echo("\n".join(lines))


def row_line(row: Row) -> str:
    """Return a line about a row: its decision, what raised it or the highest label, its source."""
    # A label that is a lead says more than its family does.
    ranked = sorted(row.leads, key=lambda lead: (lead.level != row.decision, lead.kind != "label"))
    parts = [f"{lead.title} {lead.score:.3f}" for lead in ranked[:1]]
    parts += [f"keyword {hit.keyword!r}" for hit in row.keywords[:1]]
    if row.is_lead and not parts:
        parts = [why.removeprefix(f"{row.decision}: ") for why in row.why[-1:]]
    elif row.scores and not row.is_lead:
        name, score = max(row.scores.items(), key=lambda pair: pair[1])
        parts = [f"{name} {score:.3f}"]
    if row.reason is not None:
        parts.append(f"{row.status}: {row.reason}")
    return shown(f"{row.decision:9} {', '.join(dict.fromkeys(parts)):28} {shown_place(row.source)}")


def _row_lines(file: ScanFile, leads: int) -> Iterator[str]:
    if len(file) <= LISTED_INPUTS:
        yield from map(row_line, file.rows())
        return
    if leads:
        yield f"The first {min(LISTED_LEADS, leads)} of {leads:,} images to review:"
    order = f"place, score DESC, image.id LIMIT {LISTED_LEADS}"
    for _, row in file.numbered_rows(IS_LEAD, (), order):
        yield row_line(row)


def _summary(summary: ScanSummary, skipped: Skipped, title: str) -> Iterator[str]:
    if not summary.images:
        yield "No images found."
    else:
        before = f", {summary.skipped:,} of them done before" if summary.skipped else ""
        pace = f"{summary.images / max(summary.seconds, 0.001):.1f}/s"
        time = f"{duration(summary.seconds)} ({pace})"
        yield f"{counted(summary.images, 'image')}{before}, in {time} with {title}."
    if summary.statuses[Status.DEGRADED]:
        yield f"Damaged or incomplete, but scored: {summary.statuses[Status.DEGRADED]:,}."
    if summary.failed:
        yield from _failure_lines(summary, skipped)
    if summary.repeated:
        yield f"Named more than once: {summary.repeated:,}; the first counts."
    if summary.unplaced:
        rows = counted(summary.unplaced, "row")
        yield f"{rows} of an earlier version, under a path that is not found here: they stay apart."
        yield "Give the same command once in the folder in which they were scanned."
    if skipped.other_files or skipped.hidden:
        others = counted(skipped.other_files, "other file")
        yield f"Skipped: {others}, {skipped.hidden:,} hidden. Name them to scan them."
    for table, names in skipped.image_columns.items():
        yield shown(f"{shown_place(table)}: images from {', '.join(map(repr, names))}.")
    if summary.to_review:
        products = f" They may show: {_listed(summary.leads)}." if summary.leads else ""
        yield f"Images to review: {_listed(summary.to_review)}.{products}"
        yield "A lead is not a verdict: a photo does not identify a product."
    elif summary.images > summary.failed.total():
        yield "Nothing to review."
    if summary.audited:
        cleared = counted(summary.decisions[Decision.CLEAR], "clear image")
        yield f"Audit sample: {summary.audited:,} of {cleared}, ten times as many from a score of"
        yield "0.01, a hundred times from 0.1. Review them too: they show what is missed."


def _failure_lines(summary: ScanSummary, skipped: Skipped) -> Iterator[str]:
    yield f"Failed, and so not cleared: {_listed(summary.failed)}."
    if summary.kept:
        yield f"Of these, {summary.kept:,} keep the result of an earlier scan."
    if summary.refused:
        yield shown(f"Refused: {summary.refused}.")
    all_failed = summary.failed.total() - summary.kept == summary.images
    if all_failed and summary.failed[Reason.NOT_FOUND] == max(summary.failed.values()):
        for table in skipped.image_columns:
            words = "name the folder where its paths begin (--image-root), and a new --output"
            yield f"No image of {shown(shown_place(table))} could be read: {words}."


def _listed(numbers: Counter[Any]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in numbers.most_common())
