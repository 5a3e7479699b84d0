"""Find ivory, big cat skins, antelope horn and other wildlife products in photos.

    >>> from pathlib import Path
    >>> from recognizer import Policy, Recognizer
    >>> recognizer = Recognizer.load()
    >>> prediction = recognizer.predict(Path("listing.jpg"))
    >>> recognizer.decide(prediction, Policy()).decision

The public API are the names in ``__all__``, and the types of the parts of a bundle in
:mod:`recognizer.model.description`; all else may change. Each name is imported when it is first
used; the errors and values load neither numpy nor onnxruntime.
"""

from __future__ import annotations

import importlib
import os

# onnxruntime sends telemetry, and its forked processes hang at exit, unless this is set before it
# is imported (as of 1.29).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

TYPE_CHECKING = False  # typing would be a good part of what happens before Ctrl-C is seen to
if TYPE_CHECKING:
    from typing import Any

    from recognizer.engine import Explanation, Recognizer, ScoredImage
    from recognizer.errors import (
        BankError,
        BundleDigestError,
        BundleError,
        BundleNotFoundError,
        BundleSchemaError,
        DatasetError,
        MissingExtraError,
        PolicyError,
        ProviderError,
        RecognizerError,
        ScanFileChangedError,
        ScanFileError,
        TaxonomyError,
        TrainingError,
        UsageError,
    )
    from recognizer.guarded import GuardedRecognizer
    from recognizer.imaging import Frame, ImageSource, Limits, LoadedImage
    from recognizer.known.matches import KnownItems, share_bank
    from recognizer.model.bundle import Bundle, load_bundle
    from recognizer.model.description import BundleFamily, BundleLabel, Calibration
    from recognizer.policy.listing import AlwaysReview, KeywordHit, Keywords, Reports
    from recognizer.policy.values import (
        Candidate,
        CandidateKind,
        Decision,
        Finding,
        KnownMatch,
        KnownRule,
        Lead,
        Policy,
        Probability,
        Rate,
        Rule,
        Triage,
    )
    from recognizer.prediction import Prediction, Region, prediction_schema
    from recognizer.status import Reason, Status
    from recognizer.taxonomy import Family, Kind, Label, Taxonomy, load_taxonomy

__version__ = "0.3.0"

__all__ = [
    "AlwaysReview",
    "BankError",
    "Bundle",
    "BundleDigestError",
    "BundleError",
    "BundleFamily",
    "BundleLabel",
    "BundleNotFoundError",
    "BundleSchemaError",
    "Calibration",
    "Candidate",
    "CandidateKind",
    "DatasetError",
    "Decision",
    "Explanation",
    "Family",
    "Finding",
    "Frame",
    "GuardedRecognizer",
    "ImageSource",
    "KeywordHit",
    "Keywords",
    "Kind",
    "KnownItems",
    "KnownMatch",
    "KnownRule",
    "Label",
    "Lead",
    "Limits",
    "LoadedImage",
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
    "Reports",
    "Rule",
    "ScanFileChangedError",
    "ScanFileError",
    "ScoredImage",
    "Status",
    "Taxonomy",
    "TaxonomyError",
    "TrainingError",
    "Triage",
    "UsageError",
    "__version__",
    "load_bundle",
    "load_taxonomy",
    "prediction_schema",
    "share_bank",
]

_HOMES = (
    *("errors", "status", "taxonomy", "prediction", "policy.listing"),  # load nothing heavy
    "policy.values",
    *("model.description", "model.bundle", "imaging", "engine", "known.matches", "guarded"),
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for home in _HOMES:
        module = importlib.import_module(f"{__name__}.{home}")
        if name in vars(module):
            break
    value = globals()[name] = vars(module)[name]  # looked up once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
