"""What to expect of an enrolled label, before anybody relies on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recognizer.enrolment.head import Learned
from recognizer.evaluation.thresholds import MOST_FOR_RANKS, ranks_of
from recognizer.model.bundle import FALSE_ALARM_RATES


@dataclass(frozen=True, slots=True)
class Share:
    """A count among several, with the exact interval of the share behind it.

    Attributes:
        count: how many.
        of: among how many.
        low: lower end of the 95 % interval of Clopper and Pearson (1934).
        high: upper end.
    """

    count: int
    of: int
    low: float
    high: float

    @classmethod
    def of_counts(cls, count: int, of: int) -> Share:
        """Return a share with its interval."""
        return cls(count, of, *binomial_interval(count, of))


@dataclass(frozen=True, slots=True)
class Expectation:
    """The figures of ``recognizer enroll --check``.

    Attributes:
        name: the label.
        photos: photos that were used.
        sources: folders that they come from.
        known: photos of the label that the bundle's bank had already.
        negatives: photos that the head was fitted against.
        recall: false-alarm rate -> how many photos a head found that had not seen them.
        false_alarms: false-alarm rate -> how many held-out negatives were over the threshold.
        leads: how many photos, scored likewise, a scan finds by the label's own score as it comes:
            at the photo's threshold, which is one for all products.
        photo_threshold: that threshold, a probability.
        own_weight: share of a known label's own log-odds in its new score; None for a new label.
        ranks: the place of each photo, scored by a head that had not seen it, among the held-out
            negatives, 1 being above all; empty with more than
            :data:`~recognizer.evaluation.thresholds.MOST_FOR_RANKS` photos.
    """

    name: str
    photos: int
    sources: int
    known: int
    negatives: int
    recall: Mapping[str, Share]
    false_alarms: Mapping[str, Share]
    leads: Share
    photo_threshold: float
    own_weight: float | None
    ranks: tuple[int, ...]

    @property
    def words(self) -> str:
        """The evidence in one sentence."""
        share = self.recall["0.01"]
        return (
            f"enrolled from {_plural(self.photos, 'photo')} of {_plural(self.sources, 'source')}; "
            f"left out in turn, {share.count} of {share.of} are found at 1 % false alarms "
            f"({share.low:.2f} to {share.high:.2f})"
        )

    def lines(self) -> list[str]:
        """Return the expectation as lines of text."""
        counted = next(iter(self.false_alarms.values())).of
        lines = [
            f"{self.name}: {_plural(self.photos, 'photo')} of {_plural(self.sources, 'source')}"
            + (f", and {self.known} that the bundle knows" if self.known else "")
            + f"; {self.negatives} negatives, {counted} of them held out",
        ]
        for rate in FALSE_ALARM_RATES:
            found, alarms = self.recall[rate], self.false_alarms[rate]
            lines.append(
                f"recall {found.count} of {found.of} at {100 * float(rate):g} % "
                f"({found.low:.2f}-{found.high:.2f}); false alarms {alarms.count} of {alarms.of} "
                f"({100 * alarms.low:.2f}-{100 * alarms.high:.2f} %)"
            )
        lines.append(
            f"by a scan as it comes {self.leads.count} of {self.leads.of}: its threshold, "
            f"{self.photo_threshold:.3f}, is one for all products. To judge by the rates above, "
            f"put [rules.label.{self.name}] and under it review_rate = 0.01 in a policy"
        )
        if self.ranks:
            places = " ".join(map(str, self.ranks))
            lines.append(f"their places among the {counted}, 1 being above all: {places}")
        lines.append(
            "Each photo was scored by a head that had not seen it. In brackets: 95 % intervals "
            "(Clopper-Pearson)."
        )
        if self.sources == 1:
            lines.append(
                "All photos are of one source (one folder): on photos from elsewhere expect less."
            )
        if self.own_weight is not None:
            lines.append(
                "The label's old score is dropped: the photos are found better without it."
                if self.own_weight == 0
                else f"The label's old score counts in the new one (weight {self.own_weight:g})."
            )
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return what ``bundle.json`` records."""
        return {
            "words": self.words,
            "photos": self.photos,
            "sources": self.sources,
            "known": self.known,
            "negatives": self.negatives,
            "own_weight": self.own_weight,
            "ranks": list(self.ranks),
            "leave_one_out_recall": {r: _rounded(s) for r, s in self.recall.items()},
            "leads_by_default": _rounded(self.leads),
            "false_alarms": {r: _rounded(s) for r, s in self.false_alarms.items()},
        }


def expect(
    name: str,
    learned: Learned,
    *,
    sources: int,
    known: int,
    negatives: int,
    leads: int,
    photo_threshold: float,
    is_new: bool,
) -> Expectation:
    """Put what was learned into figures."""
    photos, counted = len(learned.left_out), len(learned.negatives)
    return Expectation(
        name,
        photos,
        sources,
        known,
        negatives,
        {r: Share.of_counts(learned.found(float(r)), photos) for r in FALSE_ALARM_RATES},
        {r: Share.of_counts(learned.false_alarms(float(r)), counted) for r in FALSE_ALARM_RATES},
        Share.of_counts(leads, photos),
        photo_threshold,
        None if is_new else learned.head.own_weight,
        ranks_of(learned.left_out, learned.negatives) if photos <= MOST_FOR_RANKS else (),
    )


def binomial_interval(count: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of Clopper and Pearson (1934) for a share.

    Args:
        count: successes, 0 to ``of``.
        of: trials, at least 1.
        confidence: how often such an interval holds the true share, at least.
    """
    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else _share_with_tail(count, of, tail)
    high = 1.0 if count == of else 1 - _share_with_tail(of - count, of, tail)
    return low, high


def _share_with_tail(count: int, of: int, tail: float) -> float:
    """Return the share at which ``count`` or more successes have the probability ``tail``."""
    low, high = 0.0, 1.0
    for _ in range(60):  # halved to the last bit
        middle = (low + high) / 2
        if _probability_of_at_least(count, of, middle) < tail:
            low = middle
        else:
            high = middle
    return high


def _probability_of_at_least(count: int, of: int, share: float) -> float:
    if not 0 < share < 1:
        return float(share == 1)
    log_total = math.lgamma(of + 1)
    return math.fsum(
        math.exp(
            log_total
            - math.lgamma(k + 1)
            - math.lgamma(of - k + 1)
            + k * math.log(share)
            + (of - k) * math.log1p(-share)
        )
        for k in range(count, of + 1)
    )


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _rounded(share: Share) -> list[float]:
    return [share.count, share.of, round(share.low, 4), round(share.high, 4)]
