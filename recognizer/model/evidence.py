"""What stands behind a label: images, sources and measured figures, as ``bundle.json`` has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
    return f"{scaled:.2f}" if scaled >= 0.1 else f"{scaled:.2g}"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural where it has to be."""
    return f"{count} {noun}{'s' * (count != 1)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A count among several, with the ends of the exact 95 % interval of the share behind it."""

    count: int
    of: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingImages:
    """What a label was learned from: photos and their sources, and cut-out patches."""

    photos: int = 0
    sources: int = 0
    patches: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPhotos:
    """The test photos of a label, and their sources."""

    photos: int = 0
    sources: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentEvidence:
    """What an enrolment showed: each photo was scored by a head that had not seen it.

    Attributes:
        known: photos of the label that the bundle's bank had already.
        negatives: photos that the head was fitted against.
        recall, false_positives: false-positive rate -> how many of the photos, and of the held-out
            negatives, pass its threshold.
        leads: how many photos become a lead with the default policy; None where not recorded.
        own_weight: share of a known label's old log-odds in its new score; None for a new label.
        ranks: place of each photo among the held-out negatives, 1 being above all; empty for many.
    """

    photos: int
    sources: int
    known: int
    negatives: int
    recall: Mapping[float, Share]
    false_positives: Mapping[float, Share]
    leads: Share | None = None
    own_weight: float | None = None
    ranks: tuple[int, ...] = ()

    @property
    def words(self) -> str:
        """The evidence in one sentence."""
        share = self.recall[0.01]
        return (
            f"enrolled from {counted(self.photos, 'photo')} of {counted(self.sources, 'source')}; "
            f"left out in turn, {share.count} of {share.of} are found at a false-positive rate of "
            f"1 % ({share.low:.2f} to {share.high:.2f})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What stands behind a label or family, recall is by false-positive rate; None: unmeasured."""

    train: TrainingImages = field(default_factory=TrainingImages)
    test: EvaluationPhotos = field(default_factory=EvaluationPhotos)
    average_precision: Estimate | None = None
    area_under_roc: Estimate | None = None
    recall: Mapping[float, Estimate] = field(default_factory=dict)
    enrolment: EnrolmentEvidence | None = None
    before_enrolment: Evidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leads:
    """How many photos of a product become leads by default, and how many under its name."""

    photos: int
    leads: int
    named: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSummary:
    """What ``bundle.json`` keeps of an :class:`~recognizer.evaluation.evaluate.Evaluation`."""

    split: str
    fingerprint: str
    negatives: int
    negative_sources: int
    flagged_negatives: float
    accuracy: float
    leads: Mapping[str, Leads] = field(default_factory=dict)
    lookalike_accuracy: float | None = None
    calibration_error: Mapping[str, float] = field(default_factory=dict)
    int8_loses_average_precision: Mapping[str, float] = field(default_factory=dict)
