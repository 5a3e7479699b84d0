import json
import os
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.desk.outcomes import MAX_LINE, Judgement, Occasion, Outcome, Outcomes, read_outcomes
from recognizer.errors import UsageError
from recognizer.rows.export import OUTCOMES, outcome_records, write_records
from tests.conftest import write_file

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
A, B = "a" * 64, "b" * 64
CELLS = "2026-01-01T00:00:00Z,A,rejected,L1"
TABLE = f"time,reviewer,judgement,listing,note\n{CELLS}"
PLAIN = {"time": "2026-01-01T00:00:00Z", "reviewer": "A", "judgement": "rejected", "listing": "L1"}


def outcome(minute=0, sha256=A, **values):
    given = {"reviewer": "Ama", "judgement": Judgement.CONFIRMED} | values
    return Outcome(time=NOON + timedelta(minutes=minute), sha256=sha256, **given)  # type: ignore[arg-type]


def withdrawal(of, minute):
    time = NOON + timedelta(minutes=minute)
    return replace(of, time=time, occasion=Occasion.WITHDRAWAL, withdraws=of.id)


@pytest.fixture
def store(tmp_path):
    with Outcomes(tmp_path / "team.sqlite", create=True) as store:
        yield store


texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60)
outcomes = st.builds(
    Outcome,
    time=st.datetimes(datetime(2000, 1, 2), datetime(2026, 1, 1), timezones=st.just(UTC)),
    reviewer=texts,
    judgement=st.sampled_from(Judgement),
    occasion=st.sampled_from([*Occasion][:-1]),
    sha256=st.sampled_from([A, B]),
    listing=st.none() | texts,
    label=st.none() | st.just("ivory_worked"),
    note=st.none() | texts | texts.map("'=".__add__),
)


@given(st.lists(outcomes, max_size=5), st.sampled_from(["x.jsonl", "x.csv"]))
def test_a_file_gives_back_what_was_written(tmp_path_factory, some, name):
    path = tmp_path_factory.mktemp("outcomes") / name
    with Outcomes(path.with_suffix(".sqlite"), write=True, create=True) as stored:
        stored.add(some)
        written = write_records(path, OUTCOMES, outcome_records(stored.file))
    assert [*read_outcomes(path)] == [*dict.fromkeys(some)]
    assert written == len({one.id for one in some})


def test_the_last_outcome_that_was_not_withdrawn_counts(store):
    first = outcome(5)
    changed = outcome(5, judgement=Judgement.REJECTED, reviewer="Bo")  # equally late, added later
    wrong = replace(outcome(sha256=B, reviewer="Cy"), time=datetime.now(UTC) + timedelta(days=400))
    store.add([wrong, first, outcome(1, B), changed, outcome(0, B, reviewer="Di")])
    assert [*store.decided().values()] == [outcome(1, B), changed]
    store.add([withdrawal(changed, 6)])
    assert [*store.decided().values()] == [first, outcome(1, B)]
    store.add([withdrawal(first, 7)])
    assert [*store.decided().values()] == [outcome(1, B)]
    assert [*store.about(A, "L1")] == [first, changed, withdrawal(changed, 6), withdrawal(first, 7)]


def test_nothing_is_changed_or_removed(store):
    store.add([outcome()])
    with sqlite3.connect(store.file.path) as database:
        for statement in ("UPDATE outcome SET reviewer = 'x'", "DELETE FROM outcome"):
            with pytest.raises(sqlite3.IntegrityError, match="only added"):
                database.execute(statement)
    database.close()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sha256": None}, "names an image"),
        ({"time": datetime(2026, 1, 1)}, "time zone"),
        ({"reviewer": ""}, "reviewer = ''"),
        ({"reviewer": "a\x00b"}, "reviewer"),
        ({"note": "x" * 4001}, "1 to 4000 characters, not 4001"),
        ({"note": "a\u0085b"}, r"note = 'a\\x85b': U\+0085 is not text"),
        ({"listing": "\ud800"}, "listing"),
        ({"withdraws": "x"}, "for a withdrawal and nothing else"),
        ({"occasion": Occasion.WITHDRAWAL}, "for a withdrawal and nothing else"),
    ],
)
def test_what_makes_no_sense_is_refused(values, message):
    with pytest.raises(UsageError, match=message):
        replace(outcome(), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.jsonl", "{", "from JSON Lines, or from CSV"),
        ("x.jsonl", "[" * 100_000, "from JSON Lines, or from CSV"),
        ("x.parquet", "PAR1", "from JSON Lines, or from CSV"),
        ("x.jsonl", '{"time": 1}', "entry 1: not an outcome"),
        ("x.json", "[{}]", "entry 1: not an outcome"),
        ("x.csv", "time,reviewer\n2026-01-01T00:00:00Z,Ama\n", "entry 1: not an outcome"),
        *(
            ("x.jsonl", json.dumps(PLAIN | changes), message)
            for changes, message in (
                ({"judgement": "guilty"}, "judgement"),
                ({"time": "9000-01-01T00:00:00Z"}, "entry 1: its time .* is ahead of now"),
                ({"time": "0001-01-01T00:00:00+23:59"}, "entry 1: time = .*: out of range"),
                ({"time": "9999-12-31T23:59:59-23:59"}, "entry 1: time = .*: out of range"),
            )
        ),
        ("x.csv", "time,time\n2026-01-01T00:00:00Z,\n", "two columns are named 'time'"),
        ("x.csv", f'{TABLE},"a\nb\n', "line 2: unexpected end of data"),
        ("x.csv", TABLE, "line 2: the file ends in this row, before 'note'"),
        ("x.csv", f"{TABLE},\n\n{CELLS}", "line 4: the file ends in this row, before 'note'"),
        ("x.csv", "time,reviewer\n1,2,3\n", "entry 1 has more cells than"),
        ("x.jsonl", '{"time": 1, "time": 2}', "the key 'time' is given twice"),
        ("x.jsonl", json.dumps(PLAIN | {"note": "\ud800"}), "note"),
        ("x.csv", "time,reviewer\n" + "9" * (MAX_LINE + 1), "is not an outcome"),
        ("x.jsonl", "x" * (MAX_LINE + 1), "is not an outcome"),
        ("missing.csv", None, "does not exist"),
    ],
)
def test_bad_files_are_named(tmp_path, name, text, message):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        [*read_outcomes(path)]
    assert str(path) in str(caught.value)


def test_a_line_ends_where_its_newline_is(tmp_path):
    notes = [f"a{separator}b" for separator in "\u2028\u2029"]
    path = tmp_path / "x.jsonl"
    lines = [json.dumps(PLAIN | {"note": note}, ensure_ascii=False) for note in notes]
    path.write_text("\r\n\n".join(lines), encoding="utf-8-sig")
    assert [one.note for one in read_outcomes(path)] == notes
    table = [[*PLAIN, "note"], *([*PLAIN.values(), note] for note in notes)]
    path = write_file(tmp_path / "x.csv", "\r\n".join(map(",".join, table)).encode())
    assert [one.note for one in read_outcomes(path)] == notes


def test_what_is_no_regular_file_is_neither_read_nor_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo.jsonl")
    for place in (tmp_path / "fifo.jsonl", Path("/dev/zero"), tmp_path):
        with pytest.raises(UsageError, match=f"{place}: not a regular file"):
            [*read_outcomes(place)]


def test_a_label_that_nobody_knows_is_refused(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(PLAIN | {"label": "ivroy", "price": "consoles may have more keys"}))
    with pytest.raises(UsageError, match=r"entry 1: unknown label .*did you mean ivory"):
        [*read_outcomes(path, {"ivory", "bone"})]
    assert len([*read_outcomes(path)]) == 1
