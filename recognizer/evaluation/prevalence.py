"""Precision where products are rare: almost every photo over a threshold shows none."""

from dataclasses import dataclass

from recognizer.evaluation.metrics import CONFIDENCE, Scores, share
from recognizer.model.description import Estimate, percent

JOINT_CONFIDENCE = 1 - (1 - CONFIDENCE) / 2
"""Confidence of each of two intervals, so that both hold at once with :data:`CONFIDENCE`."""


def precision(recall: float, false_positive_rate: float, prevalence: float) -> float | None:
    """Return the share of products among the photos over a threshold; None if there are none."""
    found = prevalence * recall
    passed = found + (1 - prevalence) * false_positive_rate
    return found / passed if passed else None


def precision_estimate(
    recall: Estimate, false_positive_rate: Estimate, prevalence: float
) -> Estimate | None:
    """Return the precision at a prevalence with a conservative interval; None without leads.

    The lower end combines the lower end of the recall with the upper end of the false-positive
    rate, the upper end the opposite. Intervals at 97.5 % of each give one of at least 95 %
    (Bonferroni).
    """
    value = precision(recall.value, false_positive_rate.value, prevalence)
    if value is None:
        return None
    low = precision(recall.low, false_positive_rate.high, prevalence)
    high = precision(recall.high, false_positive_rate.low, prevalence)
    return Estimate(value, low or 0.0, 1.0 if high is None else high)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """The effect of one threshold of a bundle on photos that were not used to set it."""

    rate: float  # of false positives, that it was set for
    threshold: float
    recall: Estimate | None  # None without positives
    false_positives: int
    false_positive_rate: Estimate
    precision: Estimate | None  # at the chosen prevalence; None without leads

    @property
    def precision_in_words(self) -> str:
        """The precision in percent; "100 %" would be read as a promise."""
        if self.precision is None:
            return "-"
        if not self.false_positives:
            return f"at least {percent(self.precision.low)} %"
        return self.precision.as_percent()


def operating_point(
    rate: float,
    threshold: float,
    positive_scores: Scores,
    negative_scores: Scores,
    prevalence: float,
) -> OperatingPoint:
    """Measure a threshold; a photo is over it if its score is greater. There are negatives."""
    errors, negatives = int((negative_scores > threshold).sum()), len(negative_scores)
    found, positives = int((positive_scores > threshold).sum()), len(positive_scores)
    precision = None
    if positives:
        joint = (
            share(found, positives, JOINT_CONFIDENCE),
            share(errors, negatives, JOINT_CONFIDENCE),
        )
        precision = precision_estimate(*joint, prevalence)
    return OperatingPoint(
        rate=rate,
        threshold=threshold,
        recall=share(found, positives) if positives else None,
        false_positives=errors,
        false_positive_rate=share(errors, negatives),
        precision=precision,
    )
