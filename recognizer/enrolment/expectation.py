"""What to expect of an enrolled label, before anybody relies on it."""

from __future__ import annotations

from dataclasses import dataclass

from recognizer.enrolment.examples import Examples
from recognizer.enrolment.head import Learned, Learner
from recognizer.evaluation.metrics import share
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
        found = self.evidence
        held_out = next(iter(found.false_positives.values())).of
        lines = [
            f"{self.name}: {counted(found.photos, 'photo')} of {counted(found.sources, 'source')}"
            + (f", and {found.known} that the bundle knows" if found.known else "")
            + f"; {found.negatives} negatives, {held_out} of them held out",
        ]
        for rate in FALSE_POSITIVE_RATES:
            recall, wrong = found.recall[rate], found.false_positives[rate]
            lines.append(
                f"recall {recall.count} of {recall.of} at {100 * rate:g} % "
                f"({recall.low:.2f}-{recall.high:.2f}); false positives {wrong.count} of "
                f"{wrong.of} ({100 * wrong.low:.2f}-{100 * wrong.high:.2f} %)"
            )
        if found.leads is not None:
            lines.append(
                f"with the default policy {found.leads.count} of {found.leads.of} are leads: its "
                f"threshold, {self.any_product_threshold:.3f}, is one for all products. To use the "
                f"label's own, put [rules.label.{self.name}] and under it review_rate = 0.01 in a "
                "policy"
            )
        if found.ranks:
            places = " ".join(map(str, found.ranks))
            lines.append(f"ranks among the {held_out}, 1 being above all: {places}")
        lines.append(
            "Each photo was scored by a head that had not seen it. In brackets: 95 % intervals "
            "(Clopper-Pearson)."
        )
        if found.sources == 1:
            lines.append(
                "All photos are of one source (one folder): on photos from elsewhere expect less."
            )
        if found.own_weight is not None:
            lines.append(
                "The label's old score is dropped: the photos are found better without it."
                if found.own_weight == 0
                else f"The label's old score counts in the new one (weight {found.own_weight:g})."
            )
        return lines


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
