"""Policies: the thresholds and rules by which a platform decides on scores and listings."""

from recognizer.policy.listing import KeywordHit, Keywords, Reports
from recognizer.policy.values import (
    AlwaysReview,
    CandidateKind,
    Decision,
    KnownRule,
    Lead,
    Policy,
    Probability,
    Rate,
    Rule,
    Triage,
)

__all__ = [
    "AlwaysReview",
    "CandidateKind",
    "Decision",
    "KeywordHit",
    "Keywords",
    "KnownRule",
    "Lead",
    "Policy",
    "Probability",
    "Rate",
    "Reports",
    "Rule",
    "Triage",
]
