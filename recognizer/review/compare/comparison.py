"""What has changed between two journals: decisions, scores, and which images moved most.

Images are the same where their source and their listing are, and their bytes did not change. Their
decisions are compared one by one. The distributions of scores are compared over all images, so that
two months without a common image can be compared as well.
"""

from __future__ import annotations

import hashlib
import heapq
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit

from recognizer._sqlite import TemporaryStore
from recognizer.decision import severity
from recognizer.errors import UsageError
from recognizer.listing_columns import as_text, listing_of
from recognizer.model.bundle import Bundle
from recognizer.policy import CandidateKind, Decision
from recognizer.review.compare.drift import Drift, Histogram, drift
from recognizer.rows.item_key import MEMBER
from recognizer.rows.journal import JournalReader
from recognizer.rows.row import Outline, Row

MAX_SOURCES = 30
"""Groups that are counted separately, the first in the journal: memory must not grow with them."""

OTHERS = "all others"

_NO_CHANGE = 1e-6


@dataclass(slots=True, kw_only=True)
class Side:
    """One of the journals in numbers."""

    journal: str
    images: int = 0
    decisions: Counter[Decision] = field(default_factory=Counter)
    leads: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    policies: Counter[str] = field(default_factory=Counter)
    begin: datetime | None = None
    end: datetime | None = None

    def add(self, row: Row) -> None:
        """Count an image."""
        self.images += 1
        self.decisions[row.decision] += 1
        self.models[f"{row.model.title} ({row.model.digest[:12]})"] += 1
        self.policies[f"{row.policy.name} ({row.policy.digest[:12]})"] += 1
        self.leads.update(
            lead.name + " (family)" * (lead.kind is CandidateKind.FAMILY) for lead in row.leads
        )
        self.begin = row.time if self.begin is None else min(self.begin, row.time)
        self.end = row.time if self.end is None else max(self.end, row.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An image whose decision or scores changed.

    Attributes:
        before: its row in the first journal.
        after: its row in the second.
        product: whose score changed most; None where it was not scored twice.
        by: how much that score changed.
    """

    before: Row
    after: Row
    product: str | None
    by: float

    @property
    def is_other_decision(self) -> bool:
        """Whether the decision changed."""
        return self.before.decision is not self.after.decision

    @property
    def size(self) -> tuple[int, float]:
        """How large it is: first by the decision, then by the score."""
        apart = abs(severity(self.before.decision) - severity(self.after.decision))
        return apart, abs(self.by)


@dataclass(slots=True, kw_only=True)
class Comparison:
    """Two journals side by side.

    Attributes:
        sides: the first and the second.
        common: images that are in both, with the same bytes.
        replaced: images that are in both, with other bytes; they are not compared one by one.
        decisions: (before, after) -> common images.
        changes: the largest changes of common images, the largest first.
        changed: how many common images have another decision.
        products: product -> how its scores have moved.
        sources: source -> product -> the same.
    """

    sides: tuple[Side, Side]
    common: int = 0
    replaced: int = 0
    decisions: Counter[tuple[Decision, Decision]] = field(default_factory=Counter)
    changes: list[Change] = field(default_factory=list)
    changed: int = 0
    products: dict[str, Drift] = field(default_factory=dict)
    sources: dict[str, dict[str, Drift]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as ``json.loads`` would; of the changes, what matters of both rows."""
        return {
            "journals": [_side_json(side) for side in self.sides],
            "common": self.common,
            "replaced": self.replaced,
            "changed": self.changed,
            "decisions": [
                {"before": before, "after": after, "images": count}
                for (before, after), count in sorted(self.decisions.items())
            ],
            "products": {name: _drift_json(one) for name, one in self.products.items()},
            "sources": {
                source: {name: _drift_json(one) for name, one in products.items()}
                for source, products in self.sources.items()
            },
            "changes": [_change_json(change) for change in self.changes],
        }


def compare(
    before: str | os.PathLike[str],
    after: str | os.PathLike[str],
    bundles: list[Bundle],
    *,
    by: str | None = None,
    top: int = 100,
) -> Comparison:
    """Compare two journals.

    Args:
        before: the rows of a scan (JSONL).
        after: those of another.
        bundles: say which labels are products; of other models, all labels are compared.
        by: the column by whose values images are grouped; None for where they lie: a host, a
            bucket, an archive, a folder.
        top: how many changes are kept.

    Raises:
        ScanFileError: a journal cannot be read.
        UsageError: ``top`` is negative, or no image has the column.
    """
    if top < 0:
        raise UsageError(f"top = {top}: a number of changes")
    found = Comparison(sides=(Side(journal=Path(before).name), Side(journal=Path(after).name)))
    with JournalReader(before) as first, JournalReader(after) as second, _Pairs() as pairs:
        pairs.read(first, 0)
        pairs.read(second, 1)
        scores = _Scores(bundles, by)
        largest: list[tuple[tuple[int, float], int, Change]] = []
        for number, (old_at, new_at) in enumerate(pairs):
            old = None if old_at is None else first.row_at(old_at)
            new = None if new_at is None else second.row_at(new_at)
            for place, row in enumerate((old, new)):
                if row is not None:
                    found.sides[place].add(row)
                    scores.add(row, place)
            change = _change(found, old, new, scores)
            if change is not None and top:
                push = heapq.heappush if len(largest) < top else heapq.heappushpop
                push(largest, (change.size, -number, change))
    if not scores.has_column and (found.sides[0].images or found.sides[1].images):
        raise UsageError(f"no image of {before} and {after} has the column {by!r}")
    found.changes = [change for _, _, change in sorted(largest, reverse=True)]
    found.products, found.sources = scores.products(), scores.sources()
    return found


def _change(found: Comparison, old: Row | None, new: Row | None, scores: _Scores) -> Change | None:
    """Count a pair, and return its change if there is one."""
    if old is None or new is None:
        return None
    if old.sha256 != new.sha256 and None not in {old.sha256, new.sha256}:
        found.replaced += 1
        return None
    found.common += 1
    found.decisions[old.decision, new.decision] += 1
    found.changed += old.decision is not new.decision
    product, by = scores.largest_change(old, new)
    if old.decision is new.decision and abs(by) <= _NO_CHANGE:
        return None
    return Change(before=old, after=new, product=product, by=by)


class _Scores:
    """Histograms of the scores of both journals, by product and source."""

    def __init__(self, bundles: list[Bundle], by: str | None) -> None:
        self._products = {
            bundle.digest: {candidate.name for candidate in bundle.candidates} for bundle in bundles
        }
        self._by = by
        self.has_column = by is None
        self._all: dict[str, tuple[Histogram, Histogram]] = defaultdict(_two)
        self._by_source: dict[str, dict[str, tuple[Histogram, Histogram]]] = defaultdict(
            lambda: defaultdict(_two)
        )
        self._images: Counter[str] = Counter()

    def add(self, row: Row, place: int) -> None:
        """Count the scores of an image."""
        source = self._source(row)
        self._images[source] += 1
        for name, score in self._product_scores(row).items():
            self._all[name][place].add(score)
            self._by_source[source][name][place].add(score)

    def largest_change(self, old: Row, new: Row) -> tuple[str | None, float]:
        """Return the product whose score changed most, and by how much; else the highest one."""
        before, after = self._product_scores(old), self._product_scores(new)
        changes = {name: after[name] - before[name] for name in before if name in after}
        size = {name: max(abs(by), _NO_CHANGE) for name, by in changes.items()}
        name = max(changes, key=lambda product: (size[product], after[product]), default=None)
        return name, 0.0 if name is None else changes[name]

    def products(self) -> dict[str, Drift]:
        """Return the drift of each product that both journals have."""
        return _drifts(self._all)

    def sources(self) -> dict[str, dict[str, Drift]]:
        """Return the same for each source, those with the most images first."""
        return {
            source: _drifts(self._by_source[source])
            for source, _ in self._images.most_common()
            if source in self._by_source
        }

    def _product_scores(self, row: Row) -> dict[str, float]:
        scores = row.scores or {}
        products = self._products.get(row.model.digest, scores.keys())
        return {name: score for name, score in scores.items() if name in products}

    def _source(self, row: Row) -> str:
        if self._by is None:
            source = place_of(row.source)
        else:
            self.has_column = self.has_column or self._by in (row.item or {})
            source = as_text((row.item or {}).get(self._by)) or "no value"
        is_known = source in self._images or len(self._images) < MAX_SOURCES
        return source if is_known else OTHERS


def _two() -> tuple[Histogram, Histogram]:
    return Histogram(), Histogram()


def _drifts(histograms: dict[str, tuple[Histogram, Histogram]]) -> dict[str, Drift]:
    found = {name: drift(*pair) for name, pair in sorted(histograms.items())}
    return {name: one for name, one in found.items() if one.psi is not None}


def place_of(source: str) -> str:
    """Return where an image lies: the host or bucket of a URL, an archive or table, a folder.

    >>> place_of("https://cdn.example/a/b.jpg"), place_of("a/b.tar!/c.jpg"), place_of("a/b.jpg")
    ('https://cdn.example', 'a/b.tar', 'a')
    """
    container, mark, _ = source.partition(MEMBER)
    if mark:
        return container
    if "://" in source:
        try:
            parts = urlsplit(source)
        except ValueError:
            return source.partition("://")[0]
        return f"{parts.scheme}://{parts.netloc}"
    return str(PurePath(source).parent)


class _Pairs(TemporaryStore):
    """Where the last rows of each image lie in both journals."""

    def __init__(self) -> None:
        super().__init__(
            "CREATE TABLE image (key BLOB, journal INTEGER, offset INTEGER,"
            " PRIMARY KEY (key, journal)) WITHOUT ROWID"
        )

    def read(self, reader: JournalReader, journal: int) -> None:
        """Take note of the rows of a journal; of an image, the last one counts."""
        for offset, row in reader.outlines():
            with self._reported():
                self._database.execute(
                    "REPLACE INTO image VALUES (?, ?, ?)", (_key(row), journal, offset)
                )

    def __iter__(self) -> Iterator[tuple[int | None, int | None]]:
        """Yield the offsets of each image, in the order of the first journal, then the second."""
        with self._reported():
            yield from self._database.execute(
                "SELECT max(CASE journal WHEN 0 THEN offset END) AS first,"
                " max(CASE journal WHEN 1 THEN offset END) AS second"
                " FROM image GROUP BY key ORDER BY first IS NULL, first, second"
            )


def _key(row: Outline) -> bytes:
    text = f"{row.source}\0{listing_of(row.item) or ''}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _side_json(side: Side) -> dict[str, Any]:
    return {
        "journal": side.journal,
        "images": side.images,
        **{key: dict(getattr(side, key)) for key in ("decisions", "leads", "models", "policies")},
        "begin": side.begin and side.begin.isoformat(),
        "end": side.end and side.end.isoformat(),
    }


def _drift_json(one: Drift) -> dict[str, Any]:
    return asdict(one) | {"is_changed": one.is_changed, "is_large": one.is_large}


def _change_json(change: Change) -> dict[str, Any]:
    rows = {"before": change.before, "after": change.after}
    return {
        "source": change.after.source,
        "item": change.after.item,
        "sha256": change.after.sha256,
        "product": change.product,
        "by": round(change.by, 6),
        **{
            name: {
                "decision": row.decision,
                "why": [*row.why],
                "score": (row.scores or {}).get(change.product or ""),
                "leads": [f"{lead.kind} {lead.name}" for lead in row.leads],
            }
            for name, row in rows.items()
        },
    }
