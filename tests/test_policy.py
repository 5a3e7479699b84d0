from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest

from recognizer.errors import PolicyError
from recognizer.listing_rules import AlwaysReview, Keywords, Reports
from recognizer.policy import (
    Decision,
    Effect,
    KnownRule,
    Policy,
    Probability,
    Rate,
    Rule,
)
from tests.rules import of_family, of_label, rule

DEFAULT = Policy()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Rate("0.01"), "one of 0.05"),
        (lambda: Rule(review=0.01), r"review = 0.01: give a Rate\(...\) or a Probability"),
        (lambda: Policy(rules={("label", "coral"): 0.5}), "rules.label.coral = 0.5"),
    ],
)
def test_rules_of_other_types_are_refused(make: Callable[[], object], words: str) -> None:
    """All else that a file may have wrong is refused by the same checks."""
    with pytest.raises(PolicyError, match=words):
        make()


CHANGES = [
    Policy(default=rule(0.05)),
    Policy(default=rule(0.01, 0.01)),
    Policy(default=Rule(review=Probability(0.01))),
    Policy(default=rule(0.01, 0.02, p=True)),
    Policy(rules=of_family("ivory", Rule())),
    Policy(rules=of_family("ivory", rule(0.05))),
    Policy(rules=of_family("coral", rule(0.05))),
    Policy(rules=of_label("coral", rule(0.05))),
    Policy(ignore=frozenset({"coral"})),
    Policy(known=KnownRule(product=Effect.PRIORITY)),
    Policy(known=KnownRule(cleared=Effect.CLEAR)),
    Policy(known=KnownRule(distance=10)),
    Policy(keywords=Keywords(words=("a",))),
    Policy(keywords=Keywords(substrings=("a",))),
    Policy(keywords=Keywords(words=("a",), columns=("title",))),
    Policy(reports=Reports(review=1)),
    Policy(reports=Reports(priority=1)),
    Policy(always_review=AlwaysReview(degraded=True)),
    Policy(always_review=AlwaysReview(failed=True)),
    Policy(always_review=AlwaysReview(animals=0.5)),
]


def test_the_digest_changes_with_the_content() -> None:
    digests = {policy.digest for policy in (DEFAULT, *CHANGES)}
    assert len(digests) == 1 + len(CHANGES)


def test_scans_of_earlier_versions_keep_their_policy() -> None:
    """The digest of a policy without the rules that came later is the one that they name."""
    assert DEFAULT.digest == "b27f77d575e424877bab63e0a532b032f04b22cd36cefbc3fd670ebcdcf8b123"
    assert Policy(keywords=Keywords(columns=("title",))).digest == DEFAULT.digest  # no words
    assert Policy(actions={Decision.REVIEW: "Hold back."}).digest == DEFAULT.digest


def test_the_digest_does_not_change_with_name_or_order() -> None:
    assert Policy(name="one").digest == Policy(name="two").digest
    two = {**of_family("ivory", rule(0.05)), **of_label("coral", rule(0.001))}
    turned = dict(reversed(two.items()))
    assert Policy(rules=two).digest == Policy(rules=turned).digest
    whole, fractions = (Policy(default=rule(*r, p=True)) for r in ((0, 1), (0.0, 1.0)))
    assert whole.digest == fractions.digest


def test_a_policy_does_not_change_once_it_is_made() -> None:
    rules = of_label("coral", rule(0.05))
    policy = Policy(rules=rules)
    digest = policy.digest
    rules.clear()
    assert (len(policy.rules), policy.digest) == (1, digest)
    copied = pickle.loads(pickle.dumps(policy))
    assert (copied, copied.digest) == (policy, digest)
