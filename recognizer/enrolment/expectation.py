"""What to expect of an enrolled label, before anybody relies on it."""

from __future__ import annotations

from dataclasses import dataclass

from recognizer.enrolment.examples import Examples
from recognizer.enrolment.head import Learned, Learner
from recognizer.evaluation.metrics import share
from recognizer.evaluation.templates import render
from recognizer.evaluation.thresholds import MAX_FOR_RANKS, ranks_of
from recognizer.model.description import Calibration, EnrolmentEvidence, Share, counted
from recognizer.model.numerics import sigmoid
from recognizer.policy import FALSE_POSITIVE_RATES


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What ``recognizer enroll --check`` prints.

    ``any_product_threshold`` is the default policy's review threshold, a probability, which is one
    for all products.
    """

    name: str
    evidence: EnrolmentEvidence
    any_product_threshold: float

    def lines(self) -> list[str]:
        """Return the expectation as lines of text."""
        text = render(
            "expectation.txt.j2",
            name=self.name,
            e=self.evidence,
            threshold=self.any_product_threshold,
            counted=counted,
        )
        return text.splitlines()


def expect(
    name: str,
    examples: Examples,
    learner: Learner,
    learned: Learned,
    calibration: Calibration,
    threshold: float,
    *,
    is_new: bool,
) -> Expectation:
    """Put what was learned from examples into figures; the threshold is for any product."""
    photos, held_out = len(learned.left_out), len(learned.negatives)
    leads = int((sigmoid(calibration(learned.left_out)) > threshold).sum())
    evidence = EnrolmentEvidence(
        photos=photos,
        sources=examples.places,
        known=learner.known,
        negatives=learner.negatives,
        recall={r: _share(learned.found(r), photos) for r in FALSE_POSITIVE_RATES},
        false_positives={
            r: _share(learned.false_positives(r), held_out) for r in FALSE_POSITIVE_RATES
        },
        leads=_share(leads, photos),
        own_weight=None if is_new else learned.head.own_weight,
        ranks=ranks_of(learned.left_out, learned.negatives) if photos <= MAX_FOR_RANKS else (),
    )
    return Expectation(name=name, evidence=evidence, any_product_threshold=threshold)


def _share(count: int, of: int) -> Share:
    found = share(count, of)
    return Share(count=count, of=of, low=round(found.low, 4), high=round(found.high, 4))
