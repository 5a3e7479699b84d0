"""From the rows of a scan to what is worth showing: a summary of all, and the strongest of each.

The rows are read line by line, several times: to learn which row of each image is the last, which
images are near-copies, and what each says. What is kept of an image is small: two digests and a
hash; and of the best few of each section, the row.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recognizer.errors import JournalError
from recognizer.known import COPY_DISTANCE, near_copies
from recognizer.known.hashes import is_hash
from recognizer.model.bundle import Bundle
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


MOST_COPIES = 100
"""So many near-copies of one photo are listed with it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row, with what the queue makes of it.

    Attributes:
        row: the row as it was read.
        section: one of :data:`SECTIONS`.
        score: what it is ranked by, 0 to 1: the highest of its products over their threshold;
            of its families where only a family is over one; of all products where it is clear.
        copies: its near-copies, which have no entries of their own, the strongest first; at most
            :data:`MOST_COPIES`.
        sections: how many of all its copies belong to each section.
    """

    row: Mapping[str, Any]
    section: str
    score: float
    copies: tuple[Entry, ...] = ()
    sections: Counter[str] = field(default_factory=Counter)


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

    def covered(self, section: str) -> int:
        """Return how many photos of a section are shown, as entries or as copies of one."""
        copies = sum(e.sections[section] for entries in self.sections.values() for e in entries)
        return len(self.sections[section]) + copies


def read_queue(path: Path, bundle: Bundle, capacity: Capacity | None = None) -> Queue:
    """Read the rows of a scan. Of near-copies, the strongest has an entry that lists the others.

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
    best = _Best(capacity)
    groups = group_lines(path)
    copies: dict[int, _Copies] = {}
    for number, row in last_rows(path):
        try:
            entry = _entry(row, products)
            summary.add(entry)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise JournalError(f"{path}:{number}: not a row of a scan: {error!r}") from error
        if number in groups:
            copies.setdefault(groups[number], _Copies()).add(entry, number)
        else:
            best.offer(entry, number)
    for group in copies.values():
        best.offer(*group.as_one())
    kept = best.ranked()
    return Queue(summary, {name: tuple(e for e in kept if e.section == name) for name in SECTIONS})


def group_lines(path: Path, distance: int = COPY_DISTANCE) -> dict[int, int]:
    """Find the near-copies among the images of a scan.

    Args:
        path: the scan's JSONL file.
        distance: bits in which their hashes differ at most (see :mod:`recognizer.known.groups`).

    Returns:
        The line of each image's last row -> that of the first of its group, for all images that
        are not alone.

    Raises:
        JournalError: the file cannot be read, or a line other than a torn last one is no row.
    """
    lines: list[int] = []
    hashes: list[str | None] = []
    digests: list[str | None] = []
    for number, row in last_rows(path):
        lines.append(number)
        # Earlier versions of the program wrote another hash.
        hashes.append(row["phash"] if is_hash(row.get("phash")) else None)
        digests.append(row.get("sha256"))
    groups = near_copies(hashes, digests, distance).tolist()
    sizes = Counter(groups)
    return {
        line: lines[group] for line, group in zip(lines, groups, strict=True) if sizes[group] > 1
    }


class _Copies:
    """The near-copies of one picture, as they come."""

    def __init__(self) -> None:
        self._entries: list[tuple[int, float, int, Entry]] = []
        self._sections: Counter[str] = Counter()

    def add(self, entry: Entry, line: int) -> None:
        self._sections[entry.section] += 1
        item = (-SECTIONS.index(entry.section), entry.score, -line, entry)
        if len(self._entries) <= MOST_COPIES:
            heapq.heappush(self._entries, item)
        else:
            heapq.heappushpop(self._entries, item)

    def as_one(self) -> tuple[Entry, int]:
        (_, _, line, first), *others = sorted(self._entries, reverse=True)
        self._sections[first.section] -= 1
        copies = tuple(entry for *_, entry in others)
        return replace(first, copies=copies, sections=self._sections), -line


class _Best:
    """The best entries of each section, by :class:`Capacity`."""

    def __init__(self, capacity: Capacity) -> None:
        self._leads, self._failed, self._clear = (
            _Highest(size) for size in (capacity.leads, capacity.failed, capacity.clear)
        )

    def offer(self, entry: Entry, line: int) -> None:
        if entry.section == FAILED:
            self._failed.offer(entry, 0, line)
        elif entry.section == Decision.CLEAR:
            self._clear.offer(entry, 0, line)
        else:
            self._leads.offer(entry, int(entry.section == Decision.PRIORITY), line)

    def ranked(self) -> list[Entry]:
        return [*self._leads.ranked(), *self._failed.ranked(), *self._clear.ranked()]


class _Highest:
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
                if not isinstance(row, dict) or not {"source", "status"} <= row.keys():
                    raise JournalError(f"{path}:{number}: not a row of a scan: {row!r:.80}")
                yield number, row
    except OSError as error:
        raise JournalError(f"{os.fspath(path)}: {error.strerror or error}") from error


def last_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield what the last scan said of each image: a journal keeps what earlier ones said too."""
    last = {_image(row): number for number, row in _rows(path)}
    for number, row in _rows(path):
        if last.get(_image(row)) == number:
            yield number, row


def _image(row: Mapping[str, Any]) -> bytes:
    """Return a short digest of what the row is about; only its equality means anything."""
    text = json.dumps(
        [row.get("source"), row.get("item")], sort_keys=True
    )  # lone surrogates of odd names come out escaped
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
