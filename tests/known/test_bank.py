from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizer.errors import BankError
from recognizer.known import (
    Bank,
    KnownItem,
)
from tests.known.items import HASH, TIME, item, items

# --- items ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("pdq", value) for value in ("", HASH[:-1], HASH.upper(), HASH + "\n", None, 7)],
        *[("finding", value) for value in ("guilty", "", None)],
        *[("time", value) for value in ("", "yesterday", "2026-03-01T10:00:00", None, 5)],
        ("time", "0001-01-01T00:00:00+10:00"),
        *[("label", value) for value in ("", "Ivory", "a b", "x" * 65, "ivory\n", 3)],
        *[
            ("note", value)
            for value in ("", "x" * 2001, "two\nlines", "\0", "\ud800", "\x1b[2J", 3)
        ],
        *[(key, "x" * 201) for key in ("by", "origin")],
    ],
)
def test_a_value_that_makes_no_sense_is_refused(key: str, value: object) -> None:
    with pytest.raises(BankError, match=key):
        item(**{key: value})  # type: ignore[arg-type]


def test_times_are_told_in_utc() -> None:
    assert item(time="2026-03-01T12:00:00.5+02:00") == item(time=TIME)


@settings(deadline=None)  # a busy machine is no flaw
@given(items, items)
def test_equal_items_and_no_others_have_one_id(one: KnownItem, other: KnownItem) -> None:
    assert (one.id == other.id) == (one == other)
    assert replace(one).id == one.id


# --- a bank ---------------------------------------------------------------------------------------


def test_a_bank_holds_each_item_once(tmp_path: Path) -> None:
    path = tmp_path / "bank"
    first, second = item(note="seized"), item(note="seized again")
    with Bank(path, create=True) as bank:
        assert bank.add([first, second, first]) == 2
        assert bank.add([second]) == 0
    with Bank(path) as bank:
        assert len(bank) == 2
        assert set(bank) == {first, second}
        assert bank.hashes().tobytes().hex() == HASH
        assert sorted(bank.of_hash(bytes.fromhex(HASH)), key=lambda i: i.note or "") == [
            first,
            second,
        ]


def test_an_addition_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    def broken() -> object:
        yield item(note="one")
        raise BankError("the next one makes no sense")

    with Bank(tmp_path / "bank", create=True) as bank:
        with pytest.raises(BankError, match="no sense"):
            bank.add(broken())  # type: ignore[arg-type]
        assert len(bank) == 0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(items, max_size=4), max_size=3), st.randoms())
def test_banks_merge_in_any_order_and_as_often_as_one_likes(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[KnownItem]], random: object
) -> None:
    digests = set()
    for _ in range(2):
        order = [*parts, *parts]
        random.shuffle(order)  # type: ignore[attr-defined]
        with Bank(tmp_path_factory.mktemp("banks") / "bank", create=True) as bank:
            for part in order:
                bank.add(part)
            assert set(bank) == {item for part in parts for item in part}
            digests.add(bank.digest)
    assert len(digests) == 1


def test_two_may_add_at_once(tmp_path: Path) -> None:
    def add(name: str) -> None:
        with Bank(tmp_path / "bank", create=True) as bank:
            for number in range(20):
                bank.add([item(by=name, note=str(number))])

    threads = [threading.Thread(target=add, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Bank(tmp_path / "bank") as bank:
        assert len(bank) == 60


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + bytes(84)])
def test_what_is_no_bank_is_refused_and_left_as_it_is(
    content: bytes, create: bool, tmp_path: Path
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(BankError, match=r"photo\.jpg"):
        Bank(path, create=create)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("PRAGMA application_id = 1", "is not a bank of known items"),
        ("PRAGMA user_version = 9", "version 9"),
    ],
)
def test_another_database_is_refused(statement: str, words: str, tmp_path: Path) -> None:
    Bank(tmp_path / "bank", create=True).close()
    database = sqlite3.connect(tmp_path / "bank")
    database.execute(statement)
    database.close()
    for create in (True, False):
        with pytest.raises(BankError, match=words):
            Bank(tmp_path / "bank", create=create)


def test_a_bank_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BankError, match="recognizer bank add"):
        Bank(tmp_path / "none")
    with pytest.raises(BankError, match="none"):
        Bank(tmp_path / "none" / "bank", create=True)
    assert not list(tmp_path.iterdir())
