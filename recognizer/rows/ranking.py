"""By which lead and score an image is ranked: products that were measured come before others."""

from __future__ import annotations

from collections.abc import Iterable

from recognizer.model.bundle import Bundle
from recognizer.policy import CandidateKind, Lead
from recognizer.rows.row import Row
from recognizer.taxonomy import Kind


class Ranking:
    """Ranks the leads of models.

    The products of a model that is not among the bundles rank alike, and so do those of a bundle
    that records no evidence for any product.
    """

    def __init__(self, bundles: Iterable[Bundle] = ()) -> None:
        self._unproven = {bundle.digest: _unproven(bundle) for bundle in bundles}

    def is_unproven(self, model: str, lead: Lead) -> bool:
        """Whether the model with this digest was measured on no photo of a lead's product."""
        return (lead.kind, lead.name) in self._unproven.get(model, ())

    def sorted(self, model: str, leads: Iterable[Lead]) -> list[Lead]:
        """Return leads with evidence first, the highest score first."""
        return sorted(leads, key=lambda lead: (self.is_unproven(model, lead), -lead.score))

    def lead_and_score(self, row: Row) -> tuple[Lead | None, float | None]:
        """Return the lead by which an image is ranked, and its score; else that of a family."""
        if row.leads:
            lead = self.sorted(row.model.digest, row.leads)[0]
            return lead, lead.score
        return None, max(row.family.values(), default=None) if row.family else None


def _unproven(bundle: Bundle) -> set[tuple[CandidateKind, str]]:
    products = {label.name for label in bundle.labels if label.kind is Kind.PRODUCT}
    measured = {
        label.name
        for label in bundle.labels
        if label.name in products and label.evidence is not None and label.evidence.test.photos
    }
    if not measured:
        return set()
    labels = {(CandidateKind.LABEL, name) for name in products - measured}
    families = {f.name for f in bundle.families if not measured & {*f.members}}
    return labels | {(CandidateKind.FAMILY, name) for name in families}
