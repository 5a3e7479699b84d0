"""What changed between two scans: another model, another policy, another month.

An image is the same in both if its source and its listing are, and its bytes did not change.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from recognizer.decision import severity
from recognizer.rows.deciding import DecisionDiff
from recognizer.rows.item_key import item_key
from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile

_NO_CHANGE = 1e-6  # of a score


@dataclass(frozen=True, slots=True)
class Change:
    """An image that changed; ``by`` is how much the score of ``product`` did, the most of all."""

    before: Row
    after: Row
    product: str | None
    by: float

    @property
    def size(self) -> tuple[int, float]:
        """Its rank: first the distance of the decisions, then that of the scores."""
        apart = abs(severity(self.before.decision) - severity(self.after.decision))
        return apart, abs(self.by)

    def to_json(self) -> dict[str, Any]:
        """Return what matters of both rows."""
        found: dict[str, Any] = {"product": self.product, "by": round(self.by, 6)}
        for name, row in (("before", self.before), ("after", self.after)):
            found |= {key: getattr(row, key) for key in ("source", "item", "sha256")}
            leads = [f"{lead.kind} {lead.name}" for lead in row.leads]
            score = (row.scores or {}).get(self.product or "")
            found[name] = {"decision": row.decision, "why": row.why, "score": score, "leads": leads}
        return found


@dataclass(slots=True)
class Comparison:
    """Two scans; ``common`` images have the same bytes in both, ``replaced`` ones others."""

    images: tuple[int, int]
    replaced: int = 0
    common: DecisionDiff = field(default_factory=DecisionDiff)
    changes: list[Change] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as values for JSON."""
        return {
            "images": dict(zip(("before", "after"), self.images, strict=True)),
            "replaced": self.replaced,
            "common": self.common.to_json(),
            "changes": [change.to_json() for change in self.changes],
        }


def compare(
    before: ScanFile, after: ScanFile, products: Mapping[str, Collection[str]], *, top: int = 100
) -> Comparison:
    """Compare two scans, and keep the ``top`` largest changes.

    ``products`` are those of each model, by its digest; of other models all labels are compared.
    """
    found = Comparison((len(before), len(after)))
    largest: list[tuple[tuple[int, float], int, Change]] = []
    for number, row in enumerate(after.rows()):
        key = item_key(row.source, row.item, before.listing_column, row.reason)
        for old in before.rows("key = ?", (key,)):
            if old.sha256 != row.sha256 and None not in {old.sha256, row.sha256}:
                found.replaced += 1
                continue
            found.common.add(old, row)
            change = _change(old, row, products)
            if change is not None and top > 0:
                push = heapq.heappush if len(largest) < top else heapq.heappushpop
                push(largest, (change.size, -number, change))
    found.changes = [change for _, _, change in sorted(largest, reverse=True)]
    return found


def _change(old: Row, new: Row, products: Mapping[str, Collection[str]]) -> Change | None:
    before, after = (_product_scores(row, products) for row in (old, new))
    changes = {name: after[name] - before[name] for name in before.keys() & after.keys()}
    product = max(changes, key=lambda name: (abs(changes[name]), after[name], name), default=None)
    by = 0.0 if product is None else changes[product]
    if old.decision is new.decision and abs(by) <= _NO_CHANGE:
        return None
    return Change(old, new, product, by)


def _product_scores(row: Row, products: Mapping[str, Collection[str]]) -> dict[str, float]:
    scores = row.scores or {}
    return {name: scores[name] for name in products.get(row.model.digest, scores) if name in scores}
