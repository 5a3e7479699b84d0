"""The order of the queue, the same in files of listings, in the HTML queue and on the server.

A listing comes before another by its decision; within a decision, one whose product was measured
on photos comes before one whose product was not; then the number of reports by users counts, then
the score, and last the age: what was scanned first comes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from recognizer.model.bundle import Bundle
from recognizer.policy import CandidateKind, Lead
from recognizer.rows.listings import QUEUE_ORDER, Listing
from recognizer.taxonomy import Kind


class Rank(NamedTuple):
    """What a queue is sorted by, ascending.

    Attributes:
        place: of the decision among :data:`recognizer.rows.listings.QUEUE_ORDER`.
        is_unproven: whether there are leads, and the model has evidence for none of them.
        by_reports: reports by users, negative.
        by_score: the score, negative.
        age: when the first image of the listing was scanned, in seconds of the epoch.
    """

    place: int
    is_unproven: bool
    by_reports: int
    by_score: float
    age: float


class Ranking:
    """Ranks leads of a model: products that were measured come before others.

    Args:
        bundle: the model; None where it is not at hand, so that all its products rank alike. A
            bundle that records no evidence for any product ranks them alike too.
    """

    def __init__(self, bundle: Bundle | None = None) -> None:
        labels = () if bundle is None else bundle.labels
        self.products = [label.name for label in labels if label.kind is Kind.PRODUCT]
        measured = {
            label.name
            for label in labels
            if label.evidence is not None and label.evidence.test.photos
        }
        measured = measured & {*self.products} or {*self.products}
        families = () if bundle is None else bundle.families
        self._unproven = {
            CandidateKind.LABEL: {*self.products} - measured,
            CandidateKind.FAMILY: {f.name for f in families if not measured & {*f.members}},
        }

    def is_unproven(self, name: str, kind: CandidateKind = CandidateKind.LABEL) -> bool:
        """Whether a product, or a family of products, was measured on no photo."""
        return name in self._unproven[kind]

    def sorted(self, leads: Iterable[Lead]) -> list[Lead]:
        """Return leads with evidence first, the highest score first."""
        return sorted(leads, key=lambda lead: (self.is_unproven(lead.name, lead.kind), -lead.score))

    def rank(self, listing: Listing, age: float) -> Rank:
        """Return the rank of a listing; for ``age``, see :class:`Rank`."""
        lead = next(iter(self.sorted(listing.leads)), None)
        return Rank(
            place=QUEUE_ORDER.index(listing.decision),
            is_unproven=lead is not None and self.is_unproven(lead.name, lead.kind),
            by_reports=-(listing.reports or 0),
            by_score=-((lead.score if lead else listing.score) or 0.0),
            age=age,
        )
