"""Plan the work of a review team: ``recognizer plan``."""

from recognizer.review.plan.as_policy import planned_toml, policy_of
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
    "planned_toml",
    "policy_of",
]
