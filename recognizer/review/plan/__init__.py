"""Plan the work of a review team: ``recognizer plan``."""

from recognizer.review.plan.as_policy import policy_of, policy_toml
from recognizer.review.plan.labelled import ScoredPhoto, ScoredPhotos
from recognizer.review.plan.planning import Plan, Workload, make_plan
from recognizer.review.plan.recorded import BundleEvidence

__all__ = [
    "BundleEvidence",
    "Plan",
    "ScoredPhoto",
    "ScoredPhotos",
    "Workload",
    "make_plan",
    "policy_of",
    "policy_toml",
]
