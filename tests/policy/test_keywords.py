import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.errors import PolicyError
from recognizer.policy import AlwaysReview, Keywords
from recognizer.policy.decide import UNREADABLE_REASONS, decide, with_keywords
from recognizer.policy.keywords import normalize
from recognizer.policy.values import QUEUE_ORDER, Decision, Policy, Triage
from recognizer.prediction import Prediction
from recognizer.status import Reason, Status
from recognizer.taxonomy import Kind

CLEAR, REVIEW, PRIORITY = Decision.CLEAR, Decision.REVIEW, Decision.PRIORITY
UNSCORED = Decision.UNSCORED


def triage(decision):
    return Triage(decision=decision)


def found(keywords, title):
    return [hit.keyword for hit in keywords.hits({"title": title})]


@pytest.mark.parametrize(
    ("word", "title", "is_word", "is_anywhere"),
    [
        ("ivory", "box_ivory", True, True),  # as in hashtags and file names
        ("ivory", "ivoryton", False, True),
        ("ivory", "ivory2", False, True),
        ("ivory", "ivoryton, real &#105;v&shy;ory", True, True),  # as in HTML
        *[("rhino horn", f"RHINO{mark}horn", True, True) for mark in ("\n\t ", " ")],
        ("Straße", "STRASSE", True, True),
        ("corne de rhinocéros", "Corne de rhinoce\u0301ros", True, True),
        *[("ivory", f"iv{m}ory{m}{m} box", True, True) for m in "\u0301\u0336\u20d2\u20dd\u05b4"],
        ("ivory", "𝓲𝓿𝓸𝓻𝔂 ｉvöry\ufffc", True, True),  # noqa: RUF001
        ("ivory", "iv<b></b>ory, 1v0ry, i.v.o.r.y", False, False),
        ("tusk", "Fine. A bus. K2, t us k; a bus, k", False, False),
        ("งาช้าง", "ขาย งาช้าง", True, True),
        ("งา", "งาช้าง", False, True),
        ("שֶׁנְהָב", "שֶׁנְהָב ישן", True, True),
        ("слоновая кость", "Слоновая  Кость", True, True),
        ("हाथी", "हाथीदाँत", False, True),
        ("象牙", "老象牙手串", False, True),  # no blanks between words: a substring it should be
        ("象牙", "大象，牙刷", False, False),  # noqa: RUF001
        ("c++", "c++", True, True),
        ("(.*", "anything", False, False),
        ("(.*", "a (.* b", True, True),
    ],
)
def test_words_and_substrings(word, title, is_word, is_anywhere):
    assert found(Keywords(words=(word,)), title) == [word] * is_word
    assert found(Keywords(substrings=(word,)), title) == [word] * is_anywhere


UNSEEN = (
    "\0\x01\x0b\x1c\x1f\x7f\x85\u00ad\u034f\u061c\u115f\u17b4\u180b\u180f\u200b\u202e\u2060\u2065\u3164\ufe0f"
    "\ufeff\uffa0\ufff0\U0001bca0\U0001d159\U0001d173\U000e0000\U000e0041\U000e0100\U000e01ef\U000e0fff"
)


@pytest.mark.parametrize("character", UNSEEN)
def test_a_character_that_is_not_seen_hides_no_keyword(character):
    for title in ("iv{}ory", "ivory{}", "{}ivory{} box", "i{0}{0}vory", f"{'{}' * 2_000}ivory"):
        text = title.replace("{0}", character).replace("{}", character)
        assert found(Keywords(words=("ivory",), substrings=("vor",)), text) == ["vor", "ivory"]


@pytest.mark.parametrize("blank", " \t\n\f\r\u2003\u2800\u3000")
def test_a_blank_is_seen(blank):
    assert found(Keywords(words=("ivory",)), f"iv{blank}ory") == []
    assert found(Keywords(words=("rhino horn",)), f"rhino{blank}horn") == ["rhino horn"]


@given(st.text(max_size=30), st.text(max_size=30), st.text(min_size=1, max_size=12))
def test_a_keyword_is_found_in_any_spelling_of_itself(before, after, word):
    if not normalize(word):
        with pytest.raises(PolicyError, match="characters that are seen"):
            Keywords(words=(word,))
        return
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        spelled = unicodedata.normalize(form, f"{before} . {word} . {after}")
        assert found(Keywords(words=(word,)), spelled) == [word]
        assert found(Keywords(substrings=(word,)), spelled) == [word]


COLUMNS = {"Item Title": "ivory box", "Beschreibung": "Stoßzahn", "details": "old tusk"}


def test_columns_are_found_by_their_role_or_their_name():
    words = ("ivory", "tusk", "stoßzahn")
    expected = {"ivory": "Item Title", "tusk": "details"}
    assert {hit.keyword: hit.column for hit in Keywords(words=words).hits(COLUMNS)} == expected
    own = Keywords(words=words, columns=("beschreibung", "title", "gone")).hits(COLUMNS)
    expected = {"stoßzahn": "Beschreibung", "ivory": "Item Title"}
    assert {hit.keyword: hit.column for hit in own} == expected
    assert Keywords(words=words).hits({"title": 7, "description": None}) == ()
    assert [h.keyword for h in Keywords(words=("7",)).hits({"title": 7})] == ["7"]
    assert [h.keyword for h in Keywords(words=("a",)).hits({"title": ["a", {}]})] == ["a"]


@pytest.mark.parametrize(
    ("before", "after"),
    [(CLEAR, REVIEW), (REVIEW, PRIORITY), (PRIORITY, PRIORITY), (UNSCORED, REVIEW)],
)
def test_a_hit_raises_the_level_by_one_and_is_named(before, after):
    policy = Policy(keywords=Keywords(words=("ivory", "box"), substrings=("vor",)))
    raised = with_keywords(triage(before), policy, COLUMNS)
    assert (raised.decision, raised.leads) == (after, ())
    assert {hit.keyword for hit in raised.keywords} == {"ivory", "box", "vor"}
    change = "" if before is after else f"one level up from {before} for "
    assert raised.why == (
        f"{after}: {change}keywords: 'vor' in 'Item Title', 'ivory' in 'Item Title', 'box' in "
        "'Item Title'",
    )
    same = triage(before)
    for columns in (None, {}, {"title": "vase"}):
        assert with_keywords(same, policy, columns) == same
    assert with_keywords(same, Policy(), COLUMNS) == same


def scored(animal, status=Status.OK, reason=None):
    scores = {"ivory_worked": 0.1, "ivory_raw": 0.1, "ceramic": animal, "listing_other": 0.0}
    return Prediction(status=status, reason=reason, scores=scores, families={"ivory": 0.19})


def decided(bundle, prediction, policy):
    kinds = {"listing_other": Kind.ANIMAL, "ceramic": Kind.ANIMAL}
    labels = tuple(replace(one, kind=kinds.get(one.name, one.kind)) for one in bundle.labels)
    return decide(prediction, replace(bundle, labels=labels), policy)


def test_living_animals_and_damaged_images_are_reviewed_if_a_policy_says_so(bundle):
    policy = Policy(always_review=AlwaysReview(failed=True, animals=0.5))
    animal = decided(bundle, scored(0.51), policy)
    assert (animal.decision, animal.leads) == (REVIEW, ())
    assert animal.why == ("review: a living animal: ceramic 0.510 > 0.500",)
    assert decided(bundle, scored(0.5), policy).decision is CLEAR
    damaged = scored(0.0, Status.DEGRADED, Reason.TRUNCATED)
    assert decided(bundle, damaged, policy).why == ("review: scored in part: truncated",)
    assert decided(bundle, scored(0.99), Policy()).decision is CLEAR


def test_an_image_that_was_scored_in_part_is_a_lead_or_unscored(bundle):
    damaged = scored(0.0, Status.DEGRADED, Reason.FRAMES_SKIPPED)
    triage = decide(damaged, bundle, Policy())
    assert (triage.decision, triage.leads) == (UNSCORED, ())
    assert decide(replace(damaged, status=Status.OK), bundle, Policy()).decision is CLEAR
    lead = replace(damaged, families={"ivory": 0.95})
    assert decide(lead, bundle, Policy()).decision is PRIORITY


@pytest.mark.parametrize("reason", list(Reason))
def test_a_failed_image_is_never_clear(bundle, reason):
    failed = Prediction(status=Status.FAILED, reason=reason)
    policy = Policy(always_review=AlwaysReview(failed=True))
    assert decided(bundle, failed, Policy()).decision is UNSCORED
    strict = decided(bundle, failed, policy)
    assert reason is not Reason.INTERNAL_ERROR or strict.decision is REVIEW  # it was read
    assert strict.decision is (UNSCORED if reason in UNREADABLE_REASONS else REVIEW)
    why = () if reason in UNREADABLE_REASONS else (f"review: not scored: {reason}",)
    assert strict.why == why


ANY_POLICY = st.builds(
    Policy,
    keywords=st.builds(
        Keywords,
        words=st.lists(st.sampled_from(["ivory", "x", "象牙"]), max_size=2),
        substrings=st.lists(st.sampled_from(["o", "y b"]), max_size=2),
    ),
)
ANY_COLUMNS = st.none() | st.fixed_dictionaries({}, optional={"title": st.text("ivoryb 象牙")})


@given(st.sampled_from([*Decision]), ANY_POLICY, ANY_COLUMNS)
def test_text_never_lowers_a_level_nor_touches_the_evidence_of_the_image(before, policy, columns):
    after = with_keywords(triage(before), policy, columns)
    assert QUEUE_ORDER.index(after.decision) <= QUEUE_ORDER.index(before)
    assert (after.decision == before) == (after.why == ()) or before is PRIORITY
    assert replace(after, decision=before, why=(), keywords=()) == triage(before)
