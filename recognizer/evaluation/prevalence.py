"""What a measured recall and false-alarm rate mean where products are rare.

Precision depends on how common products are. In a test set one photo in twenty may show a product,
in a marketplace one in thousands: there, almost all that passes a threshold is a false alarm
unless the false-alarm rate is far lower than any small test set can show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.stats import beta

from recognizer.evaluation.metrics import CONFIDENCE, Scores, share
from recognizer.model.evidence import Estimate, percent

DEFAULT_PREVALENCE = 0.0003
"""Three photos in ten thousand show a product."""

CLAIMS = (0.1, 0.5, 0.9)
"""Shares of leads that are products, which somebody might want to promise."""

_JOINT = 1 - (1 - CONFIDENCE) / 2
"""Confidence of each of two intervals, so that both hold at once with :data:`CONFIDENCE`."""


def precision(recall: float, false_alarm_rate: float, prevalence: float) -> float | None:
    """Return the share of the photos over a threshold that are products.

    Returns:
        0 to 1; None where nothing passes the threshold at all.
    """
    found = prevalence * recall
    passed = found + (1 - prevalence) * false_alarm_rate
    return found / passed if passed else None


def precision_estimate(
    recall: Estimate, false_alarm_rate: Estimate, prevalence: float
) -> Estimate | None:
    """Return the precision at a prevalence with a conservative interval.

    The lower end takes the lower end of the recall and the upper end of the false-alarm rate, the
    upper end the opposite. Intervals at 97.5 % of each give one of at least 95 % (Bonferroni).

    Args:
        recall: with its interval.
        false_alarm_rate: with its interval.
        prevalence: share of all photos that show a product, between 0 and 1.

    Returns:
        None where nothing passed the threshold.
    """
    value = precision(recall.value, false_alarm_rate.value, prevalence)
    if value is None:
        return None
    low = precision(recall.low, false_alarm_rate.high, prevalence)
    high = precision(recall.high, false_alarm_rate.low, prevalence)
    return Estimate(value, low or 0.0, 1.0 if high is None else high)


def needed_false_alarm_rate(recall: float, precision_wanted: float, prevalence: float) -> float:
    """Return the false-alarm rate at which a precision is reached.

    Args:
        recall: 0 to 1.
        precision_wanted: above 0, to 1.
        prevalence: between 0 and 1.
    """
    odds = (1 - precision_wanted) / precision_wanted
    return prevalence / (1 - prevalence) * recall * odds


def negatives_without_alarm(rate: float, confidence: float = CONFIDENCE) -> int:
    """Return how many negatives without a false alarm show that its rate is at most ``rate``.

    About 3 / rate at 95 % (the rule of three).

    Args:
        rate: what is to be shown, between 0 and 1.
        confidence: one-sided.
    """
    return math.ceil(math.log(1 - confidence) / math.log1p(-rate))


def negatives_as_observed(
    rate: float, observed_rate: float, confidence: float = CONFIDENCE
) -> int | None:
    """Return how many negatives show that false alarms are at most ``rate``, if they go on as seen.

    So many that the exact one-sided bound (Clopper and Pearson) on ``observed_rate`` falls to
    ``rate``.

    Args:
        rate: what is to be shown, between 0 and 1.
        observed_rate: share of the negatives that are false alarms.
        confidence: one-sided.

    Returns:
        None where no number would do, since the observed rate is not below ``rate``.
    """
    if observed_rate >= rate:
        return None
    fewest = negatives_without_alarm(rate, confidence)
    if not observed_rate:
        return fewest

    def excess(number: float) -> float:
        alarms = observed_rate * number
        return float(beta.ppf(confidence, alarms + 1, number - alarms)) - rate

    enough = 2 * fewest
    while excess(enough) > 0:
        enough *= 2
    return math.ceil(float(brentq(excess, fewest - 1, enough)))


@dataclass(frozen=True, slots=True)
class Claim:
    """What it takes to promise a precision.

    Attributes:
        precision: share of the leads that are products.
        false_alarm_rate: the rate that must not be exceeded, at the prevalence and recall at hand.
        negatives: how many negatives, none of them over the threshold, would show that.
    """

    precision: float
    false_alarm_rate: float
    negatives: int


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What one threshold of a bundle does on photos that had no part in setting it.

    Attributes:
        rate: the false-alarm rate that the threshold was set for.
        threshold: calibrated probability.
        recall: share of the positives over it; None without positives.
        false_alarms: negatives over it.
        false_alarm_rate: the same as a share.
        precision: share of products among what is over it, at the chosen prevalence; None without
            positives, or where nothing is over it.
        negatives_without_alarm: how many negatives, none of them over the threshold, would show
            that the false-alarm rate is at most :attr:`rate`.
        negatives_as_observed: how many would show it if false alarms went on as observed; None
            where the observed rate is not below :attr:`rate`.
        claims: for each of :data:`CLAIMS`; empty where nothing was found.
    """

    rate: float
    threshold: float
    recall: Estimate | None
    false_alarms: int
    false_alarm_rate: Estimate
    precision: Estimate | None
    negatives_without_alarm: int
    negatives_as_observed: int | None
    claims: tuple[Claim, ...]

    def in_words(self, prevalence: float) -> str:
        """Say in plain words what the threshold gives among a million photos."""
        if self.recall is None:
            return "No photo of a product was there to measure with."
        million = 1_000_000
        products = prevalence * million
        found = products * self.recall.value
        alarms = (million - products) * self.false_alarm_rate.value
        words = (
            f"Of a million photos {products:,.0f} show a product: {found:,.0f} of them are found, "
            f"with {alarms:,.0f} false alarms"
        )
        if self.precision is None:
            return f"{words}."
        if not self.false_alarms:
            return (
                f"{words} seen; but all that can be claimed is that at least "
                f"{percent(self.precision.low)} % of the leads are products."
            )
        return f"{words}: {self.precision.as_percent()} of the leads are products."


def operating_point(
    rate: float,
    threshold: float,
    positive_scores: Scores,
    negative_scores: Scores,
    prevalence: float,
) -> OperatingPoint:
    """Measure a threshold.

    Args:
        rate: the false-alarm rate that it was set for.
        threshold: a photo counts where its score is greater.
        positive_scores: (P,), may be empty.
        negative_scores: (N,), not empty.
        prevalence: see :func:`precision_estimate`.
    """
    alarms, negatives = int((negative_scores > threshold).sum()), len(negative_scores)
    found, positives = int((positive_scores > threshold).sum()), len(positive_scores)
    return OperatingPoint(
        rate,
        threshold,
        share(found, positives) if positives else None,
        alarms,
        share(alarms, negatives),
        precision_estimate(
            share(found, positives, _JOINT), share(alarms, negatives, _JOINT), prevalence
        )
        if positives
        else None,
        negatives_without_alarm(rate),
        negatives_as_observed(rate, alarms / negatives),
        tuple(_claim(wanted, found / positives, prevalence) for wanted in CLAIMS if found),
    )


def _claim(wanted: float, recall: float, prevalence: float) -> Claim:
    rate = needed_false_alarm_rate(recall, wanted, prevalence)
    return Claim(wanted, rate, negatives_without_alarm(rate))
