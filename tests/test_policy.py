from __future__ import annotations

from pathlib import Path

import pytest

from recognizer.errors import PolicyError
from recognizer.known import KnownItem, Match
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.policy import Decision, KnownRule, Policy, Rule, decide, load_policy
from recognizer.prediction import Prediction
from recognizer.status import Reason, Status
from recognizer.taxonomy import extend_taxonomy, load_taxonomy

CLEAR, REVIEW, PRIORITY = Decision.CLEAR, Decision.REVIEW, Decision.PRIORITY


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    """Thresholds of each product and of the family: 0.4, 0.5 and 0.9 at 5, 1 and 0.1 %."""
    return load_bundle(tiny_bundle)


def prediction(worked: float, raw: float = 0.0, other: float = 0.0, **more: object) -> Prediction:
    scores = {"ivory_worked": worked, "ivory_raw": raw, "ceramic": other, "listing_other": other}
    families = {"ivory": 1 - (1 - worked) * (1 - raw)}
    return Prediction(Status.OK, scores=scores, families=families, **more)  # type: ignore[arg-type]


WORKED, RAW = "ivory_worked", "ivory_raw"
DEFAULT = Policy()
EASY = Policy(default=Rule(review="0.05"))
TABLE = [
    # worked, raw, policy, decision, labels
    (0.0, 0.0, DEFAULT, CLEAR, ()),
    (0.5, 0.0, DEFAULT, CLEAR, ()),  # over, not at, the threshold
    (0.51, 0.0, DEFAULT, REVIEW, (WORKED,)),
    (0.91, 0.0, DEFAULT, PRIORITY, (WORKED,)),
    (0.6, 0.95, DEFAULT, PRIORITY, (RAW, WORKED)),
    (0.45, 0.0, EASY, REVIEW, (WORKED,)),
    (0.4, 0.4, DEFAULT, REVIEW, ()),  # neither alone, but the family
    (0.8, 0.8, DEFAULT, PRIORITY, (WORKED, RAW)),  # the family is at 0.96
    (0.3, 0.0, Policy(default=Rule(0.2, 0.7)), REVIEW, (WORKED,)),
    (0.75, 0.0, Policy(default=Rule(0.2, 0.7)), PRIORITY, (WORKED,)),
    (0.99, 0.0, Policy(default=Rule(1.0, 1)), CLEAR, ()),
    (0.01, 0.0, Policy(default=Rule(0, 1)), REVIEW, (WORKED,)),
    (0.45, 0.0, Policy(rules={WORKED: Rule("0.05")}), REVIEW, (WORKED,)),
    (0.45, 0.0, Policy(rules={RAW: Rule("0.05")}), CLEAR, ()),
    # A family's rule holds for the family and for its products,
    (0.6, 0.0, Policy(rules={"ivory": Rule("0.001", "0.001")}), CLEAR, ()),
    (0.45, 0.0, Policy(rules={"ivory": Rule("0.05")}), REVIEW, (WORKED,)),
    # unless they have one of their own.
    (0.45, 0.0, Policy(rules={"ivory": Rule("0.001"), WORKED: Rule("0.05")}), REVIEW, (WORKED,)),
    # What is ignored does not come back through its family.
    (0.99, 0.0, Policy(ignore=frozenset({WORKED})), CLEAR, ()),
    (0.99, 0.6, Policy(ignore=frozenset({WORKED})), REVIEW, (RAW,)),
    (0.99, 0.99, Policy(ignore=frozenset({WORKED, RAW})), CLEAR, ()),
]


@pytest.mark.parametrize(("worked", "raw", "policy", "decision", "labels"), TABLE)
def test_decisions(
    worked: float,
    raw: float,
    policy: Policy,
    decision: Decision,
    labels: tuple[str, ...],
    bundle: Bundle,
) -> None:
    verdict = decide(prediction(worked, raw), bundle, policy)
    assert verdict.decision is decision
    assert verdict.labels == labels
    assert bool(verdict.why) == (decision is not CLEAR)


def test_lookalikes_are_no_leads(bundle: Bundle) -> None:
    assert decide(prediction(0, 0, 1.0), bundle, DEFAULT).decision is CLEAR


@pytest.mark.parametrize("reason", list(Reason))
def test_what_failed_is_never_clear(reason: Reason, bundle: Bundle) -> None:
    verdict = decide(Prediction(Status.FAILED, reason), bundle, Policy(default=Rule(1.0, 1.0)))
    assert verdict.decision is None
    assert verdict.labels == ()


def test_what_is_degraded_is_decided(bundle: Bundle) -> None:
    damaged = prediction(0.95)
    damaged = Prediction(
        Status.DEGRADED, Reason.TRUNCATED, scores=damaged.scores, families=damaged.families
    )
    assert decide(damaged, bundle, DEFAULT).decision is PRIORITY


def test_the_grounds_are_told(bundle: Bundle) -> None:
    (family, label) = decide(prediction(0.6, 0.1), bundle, DEFAULT).why
    assert label == "review: ivory_worked 0.600 > 0.500 (1.0% false alarms)"
    assert family.startswith("review: ivory 0.640")
    animated = decide(prediction(0.6, frame=3, frames=9), bundle, Policy(default=Rule(0.2, 0.5)))
    assert animated.why[0] == "priority: ivory_worked 0.600 > 0.500 in frame 3"


# --- profiles ---------------------------------------------------------------------------------


def loaded(folder: Path, text: str) -> Policy:
    (folder / "strict.toml").write_text(text, encoding="utf-8")
    return load_policy(folder / "strict.toml")


def test_a_profile(tmp_path: Path) -> None:
    policy = loaded(
        tmp_path,
        """
        review = "0.05"
        ignore = ["coral", "seahorse"]
        [rules.ivory_worked]
        priority = "0.01"
        [rules.ivory]
        review = 0.25
        priority = 0.5
        """,
    )
    assert policy == Policy(
        "strict",
        Rule("0.05", "0.001"),
        {"ivory_worked": Rule("0.05", "0.01"), "ivory": Rule(0.25, 0.5)},
        frozenset({"coral", "seahorse"}),
    )


def test_an_empty_profile_is_the_default(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").digest == DEFAULT.digest
    assert loaded(tmp_path, "name = 'mine'").name == "mine"


BROKEN = {
    "not toml": ("review =", "strict.toml"),
    "unknown key": ("threshold = 0.5", "unknown key 'threshold'"),
    "unknown key of a rule": ("[rules.ivory]\nreveiw = 0.5", "unknown key 'reveiw'"),
    "unknown label": ("[rules.unicorn_horn]\nreview = 0.5", "no such label or family"),
    "unknown rate": ("review = '0.02'", "review = '0.02'"),
    "no probability": ("review = 1.5", "probability from 0 to 1"),
    "negative": ("priority = -0.1", "priority"),
    "NaN": ("priority = nan", "priority"),
    "truth": ("review = true", "review = True"),
    "a list": ("review = [0.5]", "review"),
    "upside down": ("review = 0.9\npriority = 0.5", "easier to reach"),
    "rates upside down": ("review = '0.001'\npriority = '0.05'", "easier to reach"),
    "rule of another type": ("[rules]\nivory = 0.5", "a table"),
    "rules of another type": ("rules = 5", "a table"),
    "ignore of words": ("ignore = 'coral'", "a list of products"),
    "ignore of lists": ("ignore = [['coral']]", "a list of products"),
    "ignore the unknown": ("ignore = ['unicorn_horn']", "no such product: unicorn_horn"),
    "ignore a look-alike": ("ignore = ['ceramic']", "no such product: ceramic"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_profile_is_a_policy_error(name: str, tmp_path: Path) -> None:
    text, words = BROKEN[name]
    with pytest.raises(PolicyError) as caught:
        loaded(tmp_path, text)
    assert words in str(caught.value)
    assert "strict.toml" in str(caught.value)


def test_a_missing_profile_is_a_policy_error(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"none\.toml cannot be read: No such file"):
        load_policy(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyError, match="no text in UTF-8"):
        load_policy(tmp_path / "binary.toml")
    with pytest.raises(PolicyError, match=r"is no TOML: .*line 1"):
        loaded(tmp_path, "review = =")


def test_rules_are_checked_where_they_are_made() -> None:
    with pytest.raises(PolicyError):
        Rule("0.02")


CHANGES = [
    Policy(default=Rule("0.05")),
    Policy(default=Rule("0.01", "0.01")),
    Policy(default=Rule(0.01, 0.02)),
    Policy(rules={"ivory": Rule()}),
    Policy(rules={"ivory": Rule("0.05")}),
    Policy(rules={"coral": Rule("0.05")}),
    Policy(ignore=frozenset({"coral"})),
    Policy(known=KnownRule(product="priority")),
    Policy(known=KnownRule(cleared="clear")),
    Policy(known=KnownRule(distance=10)),
]


def test_the_digest_changes_with_the_content() -> None:
    digests = {policy.digest for policy in (DEFAULT, *CHANGES)}
    assert len(digests) == 1 + len(CHANGES)


def test_the_digest_does_not_change_with_name_or_order() -> None:
    assert Policy("one").digest == Policy("two").digest
    two = {"ivory": Rule("0.05"), "coral": Rule("0.001")}
    turned = dict(reversed(two.items()))
    assert Policy(rules=two).digest == Policy(rules=turned).digest
    assert Policy(default=Rule(0, 1)).digest == Policy(default=Rule(0.0, 1.0)).digest


# --- known items ----------------------------------------------------------------------------------


def near(finding: str, distance: int = 5, label: str | None = None) -> Match:
    return Match(KnownItem("0" * 64, finding, "2026-03-01T10:00:00Z", label), distance)


PRODUCT, CLEARED = near("product"), near("cleared")
KNOWN_TABLE = [
    # worked, matches, rule, decision, labels
    (0.0, (), KnownRule(), CLEAR, ()),
    (0.0, (PRODUCT,), KnownRule(), REVIEW, ()),
    (0.95, (PRODUCT,), KnownRule(), PRIORITY, (WORKED,)),  # never less than the model says
    (0.0, (PRODUCT,), KnownRule(product="priority"), PRIORITY, ()),
    (0.0, (PRODUCT,), KnownRule(product="nothing"), CLEAR, ()),
    (0.0, (PRODUCT,), KnownRule(distance=4), CLEAR, ()),
    (0.0, (PRODUCT,), KnownRule(distance=5), REVIEW, ()),
    (0.0, (near("product", label="ivory_raw"),), KnownRule(), CLEAR, ()),  # ignored, see below
    (0.6, (CLEARED,), KnownRule(), REVIEW, (WORKED,)),  # silences nothing on its own
    (0.0, (CLEARED,), KnownRule(), CLEAR, ()),
    (0.95, (CLEARED,), KnownRule(cleared="clear"), CLEAR, ()),
    (0.95, (CLEARED,), KnownRule(cleared="clear", distance=4), PRIORITY, (WORKED,)),
    (0.0, (CLEARED, PRODUCT), KnownRule(cleared="clear"), REVIEW, ()),
    (0.95, (CLEARED, PRODUCT), KnownRule("nothing", "clear"), PRIORITY, (WORKED,)),
]


@pytest.mark.parametrize(("worked", "known", "rule", "decision", "labels"), KNOWN_TABLE)
def test_what_known_items_do(
    worked: float,
    known: tuple[Match, ...],
    rule: KnownRule,
    decision: Decision,
    labels: tuple[str, ...],
    bundle: Bundle,
) -> None:
    policy = Policy(ignore=frozenset({RAW}), known=rule)
    verdict = decide(prediction(worked), bundle, policy, known)
    assert (verdict.decision, verdict.labels) == (decision, labels)
    assert bool(verdict.why) == (decision is not CLEAR or worked > 0)


def test_the_sentences_name_the_nearest_item_and_what_was_silenced(bundle: Bundle) -> None:
    known = (near("product", 9), near("product", 3, "rhino_horn"))
    (why,) = decide(prediction(0), bundle, DEFAULT, known).why
    assert why == (
        f"review: near the known item {known[1].item.id} (rhino_horn), 3 of 256 bits apart, "
        "and 1 more"
    )
    silent = Policy(known=KnownRule(cleared="clear"))
    (why,) = decide(prediction(0.95), bundle, silent, (CLEARED,)).why
    assert "it would have been priority: ivory_worked" in why


def test_a_failed_photo_stays_undecided(bundle: Bundle) -> None:
    failed = Prediction(Status.FAILED, Reason.EMPTY)
    assert decide(failed, bundle, DEFAULT, (PRODUCT,)).decision is None


def test_a_profile_says_what_known_items_mean(tmp_path: Path) -> None:
    text = '[known]\nproduct = "priority"\ncleared = "clear"\ndistance = 12\n'
    assert loaded(tmp_path, text).known == KnownRule("priority", "clear", 12)
    assert loaded(tmp_path, "[known]\ndistance = 12\n").known == KnownRule(distance=12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("known = 3", "known: a table"),
        ('[known]\nproduct = "clear"', "known: product = 'clear'"),
        ('[known]\ncleared = "review"', "known: cleared = 'review'"),
        ("[known]\nproduct = []", "known: product ="),
        ("[known]\ndistance = 32", "known: distance = 32"),
        ("[known]\ndistance = true", "known: distance = True"),
        ("[known]\nmore = 1", "unknown key 'more'"),
    ],
)
def test_a_profile_that_makes_no_sense_of_known_items(
    text: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(PolicyError, match=words):
        loaded(tmp_path, text)


def test_a_policy_may_use_the_names_that_a_bundle_brings(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[rules.blue_ivory]\nreview = "0.05"\n')
    with pytest.raises(PolicyError, match="no such label"):
        load_policy(path)
    entry = {"kind": "product", "display_name": "Blue", "cites": "-", "hint": "-"}
    own = {"label": {"blue_ivory": {**entry, "family": "ivory"}}}
    taxonomy = extend_taxonomy(load_taxonomy(), own, "bundle.json")
    assert load_policy(path, taxonomy).rules["blue_ivory"].review == "0.05"
