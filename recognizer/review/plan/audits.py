"""How many cleared photos to look at before a recall can be claimed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gamma, poisson

from recognizer.evaluation.metrics import CONFIDENCE
from recognizer.evaluation.prevalence import negatives_without_error

RECALL_CLAIMS = (0.25, 0.5, 0.75, 0.9)
"""Recalls that somebody might want to claim."""

ASSURANCE = 0.8
"""Probability with which an audit of the planned size supports a claim that is true."""

_MAX_MISSES = 5_000  # an audit that finds more takes longer than the scan


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSize:
    """How many photos to audit.

    Attributes:
        photos: drawn at random from the cleared ones.
        misses: products among them up to which the claim is supported.
    """

    photos: int
    misses: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What it takes to claim a recall, at 95 % confidence.

    Attributes:
        recall: that is claimed: at least so much.
        allowed: share of the cleared photos that may show a product at most.
        expected: share that is expected to.
        without_a_miss: cleared photos to audit if none of them shows a product.
        size: the audit that supports the claim with probability :data:`ASSURANCE` if misses are
            as expected; None where no audit would, since the expected recall is not above the
            claim, or too close to it.
    """

    recall: float
    allowed: float
    expected: float
    without_a_miss: int
    size: AuditSize | None


def plan_audits(recall: float, false_positive_rate: float, prevalence: float) -> tuple[Audit, ...]:
    """Return the audit that each of :data:`RECALL_CLAIMS` takes.

    Args:
        recall: that is expected.
        false_positive_rate: that is expected.
        prevalence: share of all photos that show a product.
    """
    found = prevalence * recall
    cleared = 1 - found - (1 - prevalence) * false_positive_rate
    if not found or not cleared:
        return ()
    expected = (prevalence - found) / cleared
    audits = []
    for claim in RECALL_CLAIMS:
        allowed = min(found * (1 - claim) / claim / cleared, 0.999)
        audits.append(
            Audit(
                recall=claim,
                allowed=allowed,
                expected=expected,
                without_a_miss=negatives_without_error(allowed),
                size=audit_size(expected, allowed),
            )
        )
    return tuple(audits)


def audit_size(
    expected: float,
    allowed: float,
    confidence: float = CONFIDENCE,
    assurance: float = ASSURANCE,
) -> AuditSize | None:
    """Return the smallest audit that is likely to show that at most ``allowed`` are missed.

    With c misses, the one-sided upper bound (Poisson: misses are rare) falls to ``allowed`` at n
    photos; the smallest c is taken for which c or fewer misses are likely among n.

    Args:
        expected: share of the cleared photos that show a product.
        allowed: share that is to be shown.
        confidence: of the bound.
        assurance: probability that the audit shows it.

    Returns:
        None where no audit of a size that anybody would undertake would.
    """
    misses = np.arange(_MAX_MISSES)
    photos = np.ceil(_bounds(confidence) / allowed)
    likely = np.flatnonzero(poisson.cdf(misses, photos * expected) >= assurance)
    if not len(likely):
        return None
    return AuditSize(photos=int(photos[likely[0]]), misses=int(likely[0]))


@cache
def _bounds(confidence: float) -> NDArray[np.float64]:
    """Return the upper bounds of what is expected, where 0, 1, 2, ... were seen."""
    return np.asarray(gamma.ppf(confidence, np.arange(_MAX_MISSES) + 1))
