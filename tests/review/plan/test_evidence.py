"""Thresholds to choose from."""

from __future__ import annotations

from recognizer.review.plan.evidence import levels


def test_levels_between_lie_between() -> None:
    found = levels({0.05: 0.3, 0.01: 0.6, 0.001: 0.9})
    rates = [level.rate for level in found]
    assert rates == sorted(rates)
    assert [level.threshold for level in found] == sorted(
        (level.threshold for level in found), reverse=True
    )
    assert [(x.rate, x.threshold) for x in found if x.is_named] == [
        (0.001, 0.9), (0.01, 0.6), (0.05, 0.3),
    ]  # fmt: skip
