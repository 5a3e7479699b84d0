"""The typed parts of a :class:`recognizer.Bundle`, as ``bundle.json`` has them.

Recall and thresholds are always by false-positive rate, which is one of
:data:`recognizer.policy.FALSE_POSITIVE_RATES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeAlias

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from recognizer.errors import counted
from recognizer.policy.values import FALSE_POSITIVE_RATES
from recognizer.prediction import Digest, Natural
from recognizer.taxonomy import Kind

NEVER: Mapping[float, float] = dict.fromkeys(FALSE_POSITIVE_RATES, 1.0)
"""The thresholds of a draft: no probability is above them."""

OUTPUTS: Mapping[str, str] = {
    "scores": "float32 (N, labels): log-odds of each label, before calibration",
    "maps": "float32 (N, labels, h, w): class activation maps; their mean is the logit",
    "embedding": "float32 (N, channels): pooled features",
}
"""The outputs of an exported model, and their meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """The file ``model.onnx``."""

    sha256: str
    bytes: int | None = None
    precision: str | None = None  # ``int8`` or ``fp32``
    backbone: str | None = None
    weight_bits: int | None = None  # if fewer than 8: sums of 7-bit products overflow on no CPU


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondLook:
    """The file ``second_look.onnx``: a larger network for views that may be leads.

    Of views whose highest family is above ``gate`` it takes ``images``, uint8 (N, size, size, 3),
    and gives ``scores``, log-odds (N, first labels): their ``weight`` in the mean with the first's.
    """

    sha256: str
    size: Annotated[int, Meta(ge=1)]
    weight: Annotated[float, Meta(gt=0, le=1)]
    gate: Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFormat:
    """The input ``images``: uint8 (N, size, size, 3), RGB, by a version of the preprocessing."""

    size: Annotated[int, Meta(ge=1)]
    preprocessing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The photos on which the network was trained, by their fingerprint."""

    fingerprint: str
    recipe: Mapping[str, Any]  # see :mod:`recognizer.lab.training.config`
    photos: int = 0
    sources: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)  # of the packages that made them


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A largest and a mean difference of probabilities."""

    largest: float
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """The proof of an export: each ONNX file against torch, on photos read from file bytes."""

    photos: int
    fp32: Difference
    int8: Difference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """The log-odds, before calibration, of each image of :mod:`recognizer.model.self_test`."""

    log_odds: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NegativesFile:
    """The file ``negatives.npz`` (see :mod:`recognizer.lab.enrolment.negatives`)."""

    sha256: str
    photos: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """The rising line that turns a label's log-odds into calibrated log-odds."""

    slope: Annotated[float, Meta(gt=0)]
    intercept: float

    def __call__(self, log_odds: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return calibrated log-odds, float64 of the shape of ``log_odds``."""
        return np.asarray(self.slope * np.asarray(log_odds, np.float64) + self.intercept)

    def rounded(self) -> Calibration:
        """Return the line as it is written into files."""
        return Calibration(max(round(self.slope, 6), 1e-6), round(self.intercept, 6))


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationFit:
    """The method by which a label was calibrated."""

    method: str  # ``platt_shared``, the line of all labels, or ``enrolled``
    positives: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationPhotos:
    """The held-out photos that calibration and thresholds were fitted on."""

    photos: int
    negatives: int
    sources: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.2f}-{self.high:.2f})"

    def as_percent(self) -> str:
        """Return a share in words, e.g. ``1.68 % (0.98-2.68)``."""
        return f"{percent(self.value)} % ({percent(self.low)}-{percent(self.high)})"


def percent(value: float) -> str:
    """Return a share in percent, without the sign, to about two significant figures."""
    scaled = 100 * value
    if scaled >= 10:
        return f"{scaled:.1f}"
    return f"{scaled:.2f}" if scaled >= 0.1 else f"{scaled:.2g}" if scaled >= 0.0005 else "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A count among several, with the ends of the 95 % interval of the share behind it."""

    count: int
    of: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoCounts:
    """Numbers of photos of a label and of their sources."""

    photos: int = 0
    sources: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentEvidence:
    """Result of an enrolment: each photo was scored by a head that had not seen it."""

    photos: int
    sources: int
    negatives: int  # photos that the head was fitted against
    recall: Mapping[float, Share]  # of the photos, at the threshold for a rate
    false_positives: Mapping[float, Share]  # of the held-out negatives, there
    leads: Share | None = None  # with the default policy
    by_source: bool = False  # whole sources were left out, not single photos

    @property
    def words(self) -> str:
        """The evidence in one sentence."""
        share, left_out = self.recall[0.01], "sources" if self.by_source else "photos"
        interval = f" ({share.low:.2f} to {share.high:.2f})"
        return (
            f"enrolled from {counted(self.photos, 'photo')} of {counted(self.sources, 'source')}; "
            f"with {left_out} left out in turn, {share.count} of {share.of} are found at a "
            f"false-positive rate of 1 %{interval if self.sources > 1 else ''}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelEvidence:
    """Evidence for a label or family; a figure is None if it was not measured."""

    train: PhotoCounts = field(default_factory=PhotoCounts)
    test: PhotoCounts = field(default_factory=PhotoCounts)
    average_precision: Estimate | None = None
    recall: Mapping[float, Estimate] = field(default_factory=dict)
    enrolment: EnrolmentEvidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leads:
    """Shares of the photos of a product that become leads by default, and under its name."""

    photos: int
    leads: int
    named: int
    sources: int | None = None
    share: Estimate | None = None  # of leads, with its interval by source
    by_source: float | None = None  # the mean of the shares of each source


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSummary:
    """Summary of an :class:`~recognizer.lab.evaluation.evaluate.Evaluation`."""

    split: str
    fingerprint: str
    negatives: int
    flagged_negatives: float
    leads: Mapping[str, Leads] = field(default_factory=dict)
    int8_ap_drop: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleLabel:
    """One output of the model."""

    name: str
    kind: Kind
    calibration: Calibration
    thresholds: Mapping[float, float]  # on calibrated probabilities; only products have them
    fit: CalibrationFit | None = None
    evidence: LabelEvidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFamily:
    """Products that are reported together; thresholds are on the probability of any member."""

    name: str
    members: Annotated[tuple[str, ...], Meta(min_length=1)]
    thresholds: Mapping[float, float]
    evidence: LabelEvidence | None = None


@dataclass(frozen=True, slots=True)
class ModelReference:
    """Which bundle; the digest is over the model and all calibrations and thresholds."""

    name: str
    version: Natural
    digest: Digest

    @property
    def title(self) -> str:
        """Name and version as the bundle's folder is called."""
        return f"{self.name}-v{self.version}"


class Exported(Struct, frozen=True, kw_only=True, tag_field="step", tag="exported"):
    """The bundle was exported from training runs, on a date (ISO 8601) by a version of this."""

    date: str
    program: str


class Calibrated(Struct, frozen=True, kw_only=True, tag_field="step", tag="calibrated"):
    """The parent was calibrated on other photos; its evaluation does not hold any more."""

    parent: ModelReference
    photos: CalibrationPhotos
    date: str
    program: str


class Enrolled(Struct, frozen=True, kw_only=True, tag_field="step", tag="enrolled"):
    """A product was added to the parent, or strengthened in it, from photos with these sha256."""

    parent: ModelReference
    label: str
    photos: tuple[str, ...]
    date: str
    program: str


Lineage: TypeAlias = Exported | Calibrated | Enrolled
"""One step on the way to a bundle; in JSON its key ``step`` says which."""
