"""Find ivory, big cat skins, antelope horn and other wildlife products in photos.

    >>> from recognizer import Recognizer
    >>> prediction = Recognizer.load().predict("listing.jpg")
    >>> prediction.scores["ivory_worked"]

Each public name is imported from its module when it is first used, so that ``import recognizer``
costs nothing: neither numpy nor onnxruntime is loaded by it.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # typing would be a good part of what happens before Ctrl-C is seen to
if TYPE_CHECKING:
    from typing import Any

    from recognizer.errors import (
        BankError,
        BundleDigestError,
        BundleError,
        BundleNotFoundError,
        BundleSchemaError,
        DatasetError,
        JournalError,
        MissingExtraError,
        PolicyError,
        ProviderError,
        RecognizerError,
        TaxonomyError,
        TrainingError,
        UsageError,
    )
    from recognizer.imaging import Limits
    from recognizer.model.bundle import Bundle, load_bundle
    from recognizer.policy import (
        CandidateKind,
        Decision,
        Effect,
        Finding,
        KnownMatch,
        KnownRule,
        Lead,
        Policy,
        Probability,
        Rate,
        Rule,
        Verdict,
        load_policy,
    )
    from recognizer.prediction import Explanation, Prediction, Region
    from recognizer.recognizer import Recognizer
    from recognizer.status import Reason, Status
    from recognizer.taxonomy import Taxonomy, load_taxonomy

__version__ = "0.1.0"

__all__ = [
    "BankError",
    "Bundle",
    "BundleDigestError",
    "BundleError",
    "BundleNotFoundError",
    "BundleSchemaError",
    "CandidateKind",
    "DatasetError",
    "Decision",
    "Effect",
    "Explanation",
    "Finding",
    "JournalError",
    "KnownMatch",
    "KnownRule",
    "Lead",
    "Limits",
    "MissingExtraError",
    "Policy",
    "PolicyError",
    "Prediction",
    "Probability",
    "ProviderError",
    "Rate",
    "Reason",
    "Recognizer",
    "RecognizerError",
    "Region",
    "Rule",
    "Status",
    "Taxonomy",
    "TaxonomyError",
    "TrainingError",
    "UsageError",
    "Verdict",
    "__version__",
    "load_bundle",
    "load_policy",
    "load_taxonomy",
]

_MODULES = {
    "model.bundle": ("Bundle", "load_bundle"),
    "errors": (
        "BankError",
        "BundleDigestError",
        "BundleError",
        "BundleNotFoundError",
        "BundleSchemaError",
        "DatasetError",
        "JournalError",
        "MissingExtraError",
        "PolicyError",
        "ProviderError",
        "RecognizerError",
        "TaxonomyError",
        "TrainingError",
        "UsageError",
    ),
    "imaging": ("Limits",),
    "policy": (
        "CandidateKind",
        "Decision",
        "Effect",
        "Finding",
        "KnownMatch",
        "KnownRule",
        "Lead",
        "Policy",
        "Probability",
        "Rate",
        "Rule",
        "Verdict",
        "load_policy",
    ),
    "prediction": ("Explanation", "Prediction", "Region"),
    "recognizer": ("Recognizer",),
    "status": ("Reason", "Status"),
    "taxonomy": ("Taxonomy", "load_taxonomy"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value  # looked up once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
