"""The audit sample: clear images, drawn at random, whose review shows what a scan has missed.

A hash of its bytes draws an image; it stands for 1 / probability (Horvitz and Thompson, 1952).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from recognizer.errors import UsageError
from recognizer.policy.values import Decision
from recognizer.rows.row import Row

STRATA = ((0.1, 100.0), (0.01, 10.0), (0.0, 1.0))
"""From which product score on an image is drawn how many times as often as the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSample:
    """How clear images are drawn: with the probability ``rate`` if ``products`` score low."""

    rate: float
    products: Sequence[str]

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise UsageError(f"audit rate = {self.rate}: over 0, and at most 1")

    def drawn(self, row: Row) -> Row:
        """Return a row with the probability with which it was drawn, or without one."""
        drawn = None
        if row.decision is Decision.CLEAR and row.sha256 is not None and row.scores:
            score = max((row.scores.get(name, 0.0) for name in self.products), default=0.0)
            factor = next(factor for least, factor in STRATA if score >= least)
            probability = min(1.0, factor * self.rate)
            digest = hashlib.blake2b(f"0 {row.sha256}".encode(), digest_size=8).digest()
            if int.from_bytes(digest, "big") < probability * 2**64:
                drawn = probability
        return row if row.audit == drawn else replace(row, audit=drawn)
