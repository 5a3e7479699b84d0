"""By which lead and score an image is ranked: products that were measured come before others."""

from __future__ import annotations

from collections.abc import Iterable

from recognizer.model.bundle import Bundle
from recognizer.policy import CandidateKind
from recognizer.rows.row import Row
from recognizer.taxonomy import Kind


class Ranking:
    """Ranks the leads of models.

    The products of a model that is not among the bundles rank alike, and so do those of a bundle
    that records no evidence for any product.
    """

    def __init__(self, bundles: Iterable[Bundle] = ()) -> None:
        self._unproven = {bundle.digest: _unproven(bundle) for bundle in bundles}

    def of(self, row: Row) -> tuple[str | None, bool | None, float | None]:
        """Return the product of the lead by which an image is ranked, if unproven, and its score.

        Without a lead it is the highest score of a family.
        """
        unproven = self._unproven.get(row.model.digest, ())
        ranked = [((one.kind, one.name) in unproven, -one.score, one.name) for one in row.leads]
        if not ranked:
            return None, None, max((row.family or {}).values(), default=None)
        is_unproven, score, product = min(ranked)
        return product, is_unproven, -score


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
