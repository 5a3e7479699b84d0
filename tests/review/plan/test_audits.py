"""How many photos an audit needs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom

from recognizer.review.plan.audits import audit_size, plan_audits


@given(st.floats(1e-5, 0.05), st.floats(0.05, 0.8))
def test_an_audit_supports_what_is_true_and_no_more(allowed: float, part: float) -> None:
    size = audit_size(part * allowed, allowed)
    if size is None:
        assert part > 0.7
        return
    # What is expected comes true: the claim is supported four times in five.
    assert binom.cdf(size.misses, size.photos, part * allowed) >= 0.79
    # The claim is false: it is supported once in twenty times at most.
    assert binom.cdf(size.misses, size.photos, allowed) <= 0.0501
    # The exact bound says the same of what was seen.
    assert beta.ppf(0.95, size.misses + 1, size.photos - size.misses) <= allowed * 1.001


def test_audits_of_a_claim_that_is_too_high_are_not_planned() -> None:
    audits = {a.recall: a for a in plan_audits(0.6, 0.01, 0.0003)}
    assert audits[0.25].size is not None
    assert audits[0.75].size is None
    assert audits[0.9].without_a_miss > audits[0.25].without_a_miss
    # At half the recall the missed share is as large as the found one.
    assert audits[0.5].allowed == pytest.approx(0.00018 / 0.99, rel=0.01)
    assert plan_audits(0.0, 0.01, 0.0003) == ()
