"""From the rows of a scan to what is worth showing: a summary of all, and the strongest of each.

The rows are read twice, line by line: first to learn which row of each image is the last, then
for what it says. What is kept is small whatever the length of the file: a digest for each image,
counters, and the best few of each section.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recognizer.bundle import Bundle
from recognizer.errors import JournalError
from recognizer.policy import Decision
from recognizer.status import Status
from recognizer.taxonomy import Kind

FAILED = "failed"
"""The section of the photos without a decision; the others are called as the decisions are."""

SECTIONS = (Decision.PRIORITY.value, Decision.REVIEW.value, FAILED, Decision.CLEAR.value)
"""The sections in the order in which they are worked through."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many photos a page shows at most.

    Attributes:
        leads: cards of ``priority`` and ``review`` together, the strongest first.
        failed: cards of failures, in the order of the rows.
        clear: lines of clear photos, the highest scores first.
    """

    leads: int = 2000
    failed: int = 500
    clear: int = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One row, with what the queue makes of it.

    Attributes:
        row: the row as it was read.
        section: one of :data:`SECTIONS`.
        score: what it is ranked by, 0 to 1: the highest of its products over their threshold;
            of its families where only a family is over one; of all products where it is clear.
    """

    row: Mapping[str, Any]
    section: str
    score: float


@dataclass(slots=True)
class Summary:
    """Counts over all rows.

    Attributes:
        sections: photos in each section.
        degraded: photos that were scored although something is missing or damaged.
        leads: product -> leads in which it is over its threshold.
        reasons: reason code -> failures.
        models: (name, version, digest) -> rows.
        policies: (name, digest) -> rows.
        begin: time of the earliest row, as written.
        end: time of the latest.
    """

    sections: Counter[str] = field(default_factory=Counter)
    degraded: int = 0
    leads: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    models: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    policies: Counter[tuple[str, str]] = field(default_factory=Counter)
    begin: str | None = None
    end: str | None = None

    @property
    def scanned(self) -> int:
        """All rows."""
        return self.sections.total()

    def add(self, entry: Entry) -> None:
        """Count one row."""
        row = entry.row
        self.sections[entry.section] += 1
        self.degraded += row["status"] == Status.DEGRADED
        if entry.section == FAILED:
            self.reasons[str(row.get("reason") or "unknown")] += 1
        self.leads.update(row.get("labels") or ())
        model, policy = row.get("model"), row.get("policy")
        if model:
            self.models[str(model["name"]), str(model["version"]), str(model["digest"])] += 1
        if policy:
            self.policies[str(policy["name"]), str(policy["digest"])] += 1
        if time := row.get("time"):
            self.begin = min(self.begin or time, time)
            self.end = max(self.end or time, time)


@dataclass(frozen=True, slots=True)
class Queue:
    """What a page shows.

    Attributes:
        summary: counts over all rows.
        sections: the entries of each section, the first to be looked at first.
    """

    summary: Summary
    sections: Mapping[str, tuple[Entry, ...]]


def read_queue(path: Path, bundle: Bundle, capacity: Capacity | None = None) -> Queue:
    """Read the rows of a scan.

    Args:
        path: the scan's JSONL file.
        bundle: which of the labels are products.
        capacity: how many entries are kept; None for the defaults.

    Raises:
        JournalError: the file cannot be read, or a line other than a torn last one is no row.
    """
    capacity = capacity or Capacity()
    products = [label.name for label in bundle.labels if label.kind is Kind.PRODUCT]
    summary = Summary()
    leads, failed, clear = _Best(capacity.leads), _Best(capacity.failed), _Best(capacity.clear)
    for number, row in _last_rows(path):
        try:
            entry = _entry(row, products)
            summary.add(entry)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise JournalError(f"{path}:{number}: not a row of a scan: {error!r}") from error
        if entry.section == FAILED:
            failed.offer(entry, 0, number)
        elif entry.section == Decision.CLEAR:
            clear.offer(entry, 0, number)
        else:
            leads.offer(entry, int(entry.section == Decision.PRIORITY), number)
    kept = [*leads.ranked(), *failed.ranked(), *clear.ranked()]
    return Queue(summary, {name: tuple(e for e in kept if e.section == name) for name in SECTIONS})


class _Best:
    """The highest of many entries: by rank, then by score, then the earliest line."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[int, float, int, Entry]] = []

    def offer(self, entry: Entry, rank: int, line: int) -> None:
        item = (rank, entry.score, -line, entry)  # lines differ: entries are never compared
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, item)
        elif self._heap:
            heapq.heappushpop(self._heap, item)

    def ranked(self) -> Iterator[Entry]:
        return (entry for *_, entry in sorted(self._heap, reverse=True))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each row with its line number. A last line without an end may be torn: then no row."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:
                    if not line.endswith(b"\n"):
                        return
                    raise JournalError(f"{path}:{number}: not JSON: {error}") from error
                yield number, row
    except OSError as error:
        raise JournalError(f"{os.fspath(path)}: {error.strerror or error}") from error


def _last_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield what the last scan said of each image: a journal keeps what earlier ones said too."""
    last = {_image(row): number for number, row in _rows(path)}
    for number, row in _rows(path):
        if last.get(_image(row)) == number:
            yield number, row


def _image(row: Any) -> bytes:
    """Return a short digest of what the row is about; only its equality means anything."""
    subject = [row.get("source"), row.get("item")] if isinstance(row, dict) else row
    text = json.dumps(subject, sort_keys=True)  # lone surrogates of odd names come out escaped
    return hashlib.blake2b(text.encode(), digest_size=12).digest()


def _entry(row: dict[str, Any], products: list[str]) -> Entry:
    if Status(row["status"]) is Status.FAILED:
        return Entry(row, FAILED, 0.0)
    decision = Decision(row["decision"])  # a scored row without one is an error, never clear
    scores, families = row["scores"], row.get("family") or {}
    if decision is Decision.CLEAR:
        candidates = [scores[name] for name in products if name in scores]
    else:
        candidates = [scores[name] for name in row["labels"]] or [*families.values()]
    return Entry(row, decision.value, max(map(float, candidates), default=0.0))
