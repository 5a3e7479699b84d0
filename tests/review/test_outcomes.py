from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.errors import ScanFileError, UsageError
from recognizer.review.outcomes import (
    Judgement,
    Occasion,
    Outcome,
    OutcomeStore,
    as_note,
    listing_identity,
    read_outcomes,
    write_outcomes,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
A, B = "a" * 64, "b" * 64


def outcome(minute: int = 0, sha256: str | None = A, **values: object) -> Outcome:
    given = {"reviewer": "Ama", "judgement": Judgement.CONFIRMED} | values
    return Outcome(time=NOON + timedelta(minutes=minute), sha256=sha256, **given)  # type: ignore[arg-type]


def withdrawal(of: Outcome, minute: int) -> Outcome:
    return replace(
        of,
        time=NOON + timedelta(minutes=minute),
        occasion=Occasion.WITHDRAWAL,
        withdraws=of.id,
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[OutcomeStore]:
    with OutcomeStore(tmp_path / "outcomes.sqlite", create=True) as store:
        yield store


texts = st.text(
    st.characters(exclude_categories=["Cc", "Cs"]),  # type: ignore[arg-type]
    min_size=1,
    max_size=60,
)
outcomes = st.builds(
    Outcome,
    time=st.datetimes(
        datetime(2000, 1, 2),
        datetime(2100, 1, 1),
        timezones=st.just(UTC),
    ),
    reviewer=texts,
    judgement=st.sampled_from(Judgement),
    occasion=st.sampled_from([*Occasion][:-1]),
    sha256=st.sampled_from([A, B]),
    listing=st.none() | texts,
    label=st.none() | st.just("ivory_worked"),
    note=st.none() | texts,
)


@given(st.lists(outcomes, max_size=5), st.sampled_from(["x.jsonl", "x.csv"]))
def test_a_file_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, some: list[Outcome], name: str
) -> None:
    path = tmp_path_factory.mktemp("outcomes") / name
    assert write_outcomes(some, path) == len(some)
    assert read_outcomes(path) == some


def test_a_json_array_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.json"
    path.write_text(json.dumps([outcome().to_json(), outcome(1, listing="L1").to_json()]))
    assert read_outcomes(path) == [outcome(), outcome(1, listing="L1")]


def test_the_same_outcome_is_added_once(store: OutcomeStore) -> None:
    assert store.add([outcome(), outcome(1)]) == 2
    assert store.add([outcome(), outcome(2), outcome(2)]) == 1
    assert [*store] == [outcome(), outcome(1), outcome(2)]
    assert len(store) == 3


def test_the_last_outcome_that_was_not_withdrawn_counts(store: OutcomeStore) -> None:
    first = outcome(0)
    changed = outcome(5, judgement=Judgement.REJECTED, reviewer="Bo")
    store.add([first, outcome(1, B), changed])
    assert [*store.standing()] == [outcome(1, B), changed]
    store.add([withdrawal(changed, 6)])
    assert [*store.standing(A)] == [first]
    store.add([withdrawal(first, 7)])
    assert [*store.standing(A)] == []
    assert store.of(A) == [first, changed, withdrawal(changed, 6), withdrawal(first, 7)]


def test_an_older_outcome_that_arrives_late_does_not_count(store: OutcomeStore) -> None:
    store.add([outcome(5)])
    store.add([outcome(1, judgement=Judgement.REJECTED)])
    assert [*store.standing()] == [outcome(5)]


def test_a_listing_without_images_has_outcomes(store: OutcomeStore) -> None:
    about = outcome(sha256=None, listing="L7")
    store.add([about, outcome(listing="L7")])
    assert [*store.standing("listing:L7")] == [about]


def test_nothing_is_changed_or_removed(store: OutcomeStore) -> None:
    store.add([outcome()])
    with sqlite3.connect(store.path) as database:
        for statement in ("UPDATE outcomes SET reviewer = 'x'", "DELETE FROM outcomes"):
            with pytest.raises(sqlite3.IntegrityError, match="only added"):
                database.execute(statement)
    database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE outcomes SET judgement = 'rejected' WHERE number = 2",
        "UPDATE outcomes SET note = 'x', time = '2020-01-01T00:00:00+00:00' WHERE number = 2",
        "DELETE FROM outcomes WHERE number = 2",
    ],
)
def test_a_file_that_was_edited_is_noticed(store: OutcomeStore, statement: str) -> None:
    store.add([outcome(i) for i in range(4)])
    assert store.verify() == store.verify() != ""
    with sqlite3.connect(store.path) as database:
        database.executescript("DROP TRIGGER no_update; DROP TRIGGER no_delete;" + statement)
    database.close()
    with pytest.raises(ScanFileError, match="outcome 2 is not the one"):
        store.verify()


def test_several_writers_make_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.sqlite"

    def write(number: int) -> None:
        with OutcomeStore(path, create=True) as store:
            for i in range(10):
                store.add([outcome(i, reviewer=f"reviewer {number}")])

    with ThreadPoolExecutor(5) as threads:
        [*threads.map(write, range(5))]
    with OutcomeStore(path) as store:
        store.verify()
        assert len(store) == 50


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sha256": None}, "names an image"),
        ({"time": datetime(2026, 1, 1)}, "time zone"),
        ({"reviewer": ""}, "reviewer = ''"),
        ({"reviewer": "a\x00b"}, "reviewer"),
        ({"note": "x" * 4001}, "1 to 4000 characters"),
        ({"listing": "\ud800"}, "listing"),
        ({"withdraws": "x"}, "for a withdrawal and nothing else"),
        ({"occasion": Occasion.WITHDRAWAL}, "for a withdrawal and nothing else"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replace(outcome(), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.jsonl", "{", "neither JSON nor CSV"),
        ("x.jsonl", "[" * 100_000, "neither JSON nor CSV"),
        ("x.jsonl", '{"time": 1}', "entry 1: not an outcome"),
        ("x.json", "[1]", "entry 1: not an outcome"),
        ("x.csv", "time,reviewer\n2026-01-01T00:00:00Z,Ama\n", "entry 1: not an outcome"),
        (
            "x.jsonl",
            json.dumps({"time": "2026-01-01T00:00:00Z", "reviewer": "A", "judgement": "guilty"}),
            "judgement",
        ),
        ("missing.csv", None, "cannot be read"),
    ],
)
def test_a_bad_file_is_refused_by_name(
    tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_outcomes(path)
    assert str(path) in str(caught.value)


def test_another_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "photo.jsonl"
    path.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UsageError, match="not a file of outcomes"):
        write_outcomes([outcome()], path)


def test_a_store_that_is_missing_is_not_made_by_a_reader(tmp_path: Path) -> None:
    with pytest.raises(ScanFileError, match="does not exist"):
        OutcomeStore(tmp_path / "none.sqlite")
    assert not [*tmp_path.iterdir()]


def test_texts_from_elsewhere_become_those_of_an_outcome() -> None:
    for name in ("a\tb", "\ud800", "x" * 5000, "y" * 999 + "\n"):
        shown = listing_identity(name)
        assert outcome(listing=shown).listing == shown
    assert listing_identity("x" * 5000) != listing_identity("x" * 5001)
    assert listing_identity("L 7") == "L 7"
    assert as_note("a\r\nb\x07\ud800 ") == "a\nb"
    assert as_note(" \t") is as_note(None) is None
    assert outcome(note=as_note("n" * 9000)).note == "n" * 4000
