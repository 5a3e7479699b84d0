import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.errors import PolicyError
from recognizer.policy import AlwaysReview, Keywords
from recognizer.policy.values import (
    EXAMPLE_POLICIES,
    CandidateKind,
    Decision,
    Policy,
    Probability,
    Rate,
    Rule,
    parse_policy,
    policy_toml,
)
from recognizer.taxonomy import load_taxonomy
from tests.conftest import invoke, refuse, succeed
from tests.rules import of_family, of_label, rule
from tests.work import counted_calls


def loaded(folder, text):
    (folder / "strict.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    return Policy.load(folder / "strict.toml")


def test_a_profile(tmp_path):
    policy = loaded(
        tmp_path,
        """
        review_rate = 0.05
        ignore = ["coral", "seahorse"]
        [rules.label.ivory_worked]
        priority_rate = 0.01
        [rules.family.ivory]
        review_probability = 0.25
        priority_probability = 0.5
        """,
    )
    assert policy == Policy(
        name="strict",
        default=Rule(review=Rate(0.05), priority=Rate(0.001)),
        rules={
            **of_label("ivory_worked", Rule(priority=Rate(0.01))),
            **of_family("ivory", rule(0.25, 0.5, p=True)),
        },
        ignore=frozenset({"coral", "seahorse"}),
    )
    assert loaded(tmp_path, "name = 'mine'").name == "mine"
    assert loaded(tmp_path, "").digest == Policy().digest


@pytest.mark.parametrize(
    "policy",
    [
        Policy(),
        *map(Policy.load, EXAMPLE_POLICIES),
        Policy(
            name='"quoted"\n\x7f',
            default=Rule(review=Probability(0.25)),
            rules={(CandidateKind.FAMILY, "ivory"): Rule(review=Rate(0.05))},
            ignore=frozenset({"feather", "coral"}),
            keywords=Keywords(substrings=("象牙",)),
        ),
    ],
)
def test_what_is_written_is_read_again(policy, tmp_path):
    (tmp_path / "p.toml").write_text(policy_toml(policy, ["A comment"]), encoding="utf-8")
    assert Policy.load(tmp_path / "p.toml") == policy


BROKEN = [
    # What is written, and what the message must say of it.
    ("review_rate =", "is not TOML: "),
    (b"\xff\xfe", "is not TOML: 'utf-8' codec"),
    ("review_rate = 0.01\nreview_rate = 0.05\n", "line 2, column 19)"),
    ("threshold = 0.5", "unknown key 'threshold'"),
    ("review_rate = 0.02", "a false-positive rate is one"),
    ("review_rate = true", "got `bool`"),
    ("review_probability = 1.5", "a number from 0 to 1"),
    ("priority_probability = nan", "priority_probability"),
    ("review_rate = 0.05\nreview_probability = 0.5", "not both"),
    ("review_probability = 0.9\npriority_probability = 0.5", "easier to reach"),
    ("[rules.family.ivory]\nname = 'x'", "rules.family.ivory: unknown key 'name'"),
    ("[rules.label.ivory_wroked]", "did you mean ivory_worked"),
    ("[rules.family.ivory_raw]", "rules.family.ivory_raw: unknown family"),
    ("[rules.coral]", "write [rules.label.coral] or [rules.family.coral]"),
    ("ignore = 'coral'", "ignore: Expected `list`, got `str`"),
    ("ignore = ['ceramic']", "unknown product 'ceramic'"),
    ("[keywords]\nregex = ['.*']", "keywords: unknown key 'regex'"),
    ("[keywords]\nwords = ['']", "keywords: words: ''"),
    (f"[keywords]\nwords = ['{'x' * 201}']", "keywords: words"),
    ("[keywords]\nsubstrings = [' \u200b']", "keywords: substrings"),
    ("[keywords]\ncolumns = []", "keywords: columns"),
    ("[reports]\nreview = 3", "unknown key 'reports'"),
    ("[always_review]\nanimals = 2", "always_review: animals = 2.0"),
    ("[actions]\nreviw = 'x'", "actions: unknown decision 'reviw'"),
    ("[actions]\nreview = ' '", "actions"),
]


@pytest.mark.parametrize(("text", "words"), BROKEN)
def test_a_broken_profile_is_a_policy_error(text, words, tmp_path):
    with pytest.raises(PolicyError) as caught:
        loaded(tmp_path, text)
    assert words in str(caught.value)
    assert str(caught.value).count("strict.toml") == 1


SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.text(max_size=5)
NAMES = (
    "name ignore rules known review review_rate review_probability priority_rate label family "
    "coral ivory product cleared distance"
)
KEYS = st.sampled_from(NAMES.split()) | st.text(max_size=5)
LEVELS = st.sampled_from([0.05, 0.01, 0.001, "0.01", "review", "nothing", "clear"])
VALUES = st.recursive(
    SCALARS | LEVELS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_whatever_a_file_says_gives_a_policy_or_a_policy_error(values):
    try:
        policy = parse_policy(values, "any", load_taxonomy())
        policy.check(load_taxonomy())
    except PolicyError:
        return
    assert len(policy.digest) == 64
    copied = pickle.loads(pickle.dumps(policy))
    assert (copied, copied.digest) == (policy, policy.digest)


@pytest.mark.parametrize(
    "text",
    [
        "review_rate = " + "9" * 5000,
        "review_probability = 1" + "0" * 400,
        "review_rate = 1e" + "9" * 300,
        "ignore = " + "[" * 3000 + "]" * 3000,
        "rules = " + "{a = " * 3000 + "1" + "}" * 3000,
        "[" + "a." * 3000 + "b]\nc = 1",
        "name = '" + "x" * 100_000 + "'\nreview_rate = 9",
        "# " + "x" * (1 << 20),
    ],
    ids=lambda text: text[:24],
)
def test_a_profile_out_of_all_bounds_is_one_line(text, tmp_path):
    with counted_calls() as calls, pytest.raises(PolicyError) as caught:
        loaded(tmp_path, text)
    assert calls.number < 10_000 + 3 * len(text)
    assert "strict.toml" in str(caught.value)
    assert len(str(caught.value)) < 700
    assert "\n" not in str(caught.value)


def test_what_is_no_regular_file_is_neither_read_nor_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo.toml")
    for place in (tmp_path / "fifo.toml", Path("/dev/zero"), tmp_path):
        with pytest.raises(PolicyError, match=f"{place} is not a regular file"):
            Policy.load(place)


def test_rules_of_other_types_are_refused():
    with pytest.raises(PolicyError, match=r"^0\.02: a false-positive rate is one of 0.05"):
        Rate(0.02)
    with pytest.raises(PolicyError, match=r"review = 0.01: give a Rate\(...\) or a Probability"):
        Rule(review=0.01)


CHANGES = [
    *(Policy(default=rule(*rates)) for rates in ((0.05,), (0.01, 0.01))),
    *(Policy(default=rule(*levels, p=True)) for levels in ((0.01,), (0.01, 0.02))),
    *(Policy(rules=of_family("ivory", own)) for own in (Rule(), rule(0.05))),
    *(Policy(rules=of("coral", rule(0.05))) for of in (of_family, of_label)),
    Policy(ignore=frozenset({"coral"})),
    Policy(keywords=Keywords(words=("a",))),
    Policy(keywords=Keywords(substrings=("a",))),
    Policy(keywords=Keywords(words=("a",), columns=("title",))),
    Policy(always_review=AlwaysReview(failed=True)),
    Policy(always_review=AlwaysReview(animals=0.5)),
]


def test_the_digest_stands_for_what_decides():
    assert len({policy.digest for policy in (Policy(), *CHANGES)}) == 1 + len(CHANGES)
    for same in ({"name": "x"}, {"actions": {Decision.CLEAR: "Publish."}}):
        assert Policy(**same).digest == Policy().digest
    whole, fractions = (Policy(default=rule(*r, p=True)) for r in ((0, 1), (0.0, 1.0)))
    assert whole.digest == fractions.digest


def test_a_folder_hides_no_policy_of_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("strict").mkdir()
    assert Policy.load("strict").name == "strict"
    Path("default").write_text("name = 'mine'")
    assert Policy.load("default").name == "default"
    assert Policy.load("./default").name == "mine"


@pytest.mark.parametrize("name", EXAMPLE_POLICIES)
def test_an_example_is_shown_and_copied(name, tmp_path):
    shown = succeed("policy", name)
    assert f"Policy '{name}'" in shown.stdout
    assert "ivory (family)" in shown.stdout
    copy = tmp_path / "mine.toml"
    copy.write_text(invoke("policy", name, "--toml").stdout, encoding="utf-8")
    assert Policy.load(copy).digest == Policy.load(name).digest
    assert {*Policy.load(name).actions} == {*Decision}
    succeed("policy", copy)


def test_a_policy_is_checked_against_the_model(tiny_bundle, tmp_path):
    policy = tmp_path / "p.toml"
    policy.write_text(
        "[keywords]\nwords = ['象牙', 'งาช้าง', 'ivory']\n[always_review]\nanimals = 0.5\n"
        "[rules.label.rhino_horn]\nreview_rate = 0.05\n"
        "[rules.family.ivory]\nreview_probability = 0.3\n"
    )
    checked = succeed("policy", policy, "--model", tiny_bundle)
    assert "of ivory" in checked.stdout
    assert "0.300" in checked.stdout
    for words in (
        "rules.label.rhino_horn: tiny-v1 does not recognise it",
        "tiny-v1 knows no living animals",
        "need substrings: 象牙, งาช้าง",
    ):
        assert words in checked.stderr
    policy.write_text("review_rate = 0.02")
    assert "p.toml: review_rate" in refuse("policy", policy).stderr
    refuse("policy", tmp_path / "gone.toml")
