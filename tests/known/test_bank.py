from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizer.errors import BankError, UsageError
from recognizer.imaging import perceptual_hash
from recognizer.known import (
    Bank,
    KnownItem,
    read_exchange,
    share_bank,
    write_exchange,
)
from recognizer.policy import Finding
from tests.known.hashes import random_hashes, with_flips
from tests.pictures import scene

TIME = "2026-03-01T10:00:00+00:00"
HASH = "0123456789abcdef" * 4

_texts = st.none() | st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=30
)
items = st.builds(
    KnownItem,
    pdq=st.binary(min_size=32, max_size=32).map(bytes.hex),
    finding=st.sampled_from(Finding),
    time=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.timezones()).map(
        datetime.isoformat
    ),
    label=st.none() | st.from_regex("[a-z0-9][a-z0-9_]{0,20}", fullmatch=True),
    note=_texts,
    by=_texts,
    origin=_texts.map(lambda text: text or "somebody"),
)


def item(pdq: str = HASH, **changes: str) -> KnownItem:
    values = {"pdq": pdq, "finding": Finding.PRODUCT, "time": TIME, **changes}
    return KnownItem(**values)  # type: ignore[arg-type]


def hash_of(seed: int) -> str:
    found = perceptual_hash(np.asarray(scene(seed)))
    assert found is not None
    return found


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


# --- exchange -------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".json", ".csv", ".JSON"])
@settings(max_examples=25, deadline=None)
@given(sent=st.lists(items, max_size=5))
def test_what_is_exported_is_what_is_imported(
    suffix: str, sent: list[KnownItem], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("exchange") / f"items{suffix}"
    assert write_exchange(sent, path) == len(sent)
    assert read_exchange(path) == sent


def test_the_hashes_alone_can_be_exchanged(tmp_path: Path) -> None:
    path = tmp_path / "partner.txt"
    other = "f" * 64
    assert write_exchange([item(note="a"), item(note="b"), item(other)], path) == 2
    assert path.read_text() == f"{HASH}\n{other}\n"
    found = read_exchange(path)
    assert [(i.pdq, i.finding, i.origin) for i in found] == [
        (HASH, Finding.PRODUCT, "partner.txt"),
        (other, Finding.PRODUCT, "partner.txt"),
    ]
    assert read_exchange(path) == found  # not newer each time
    path.write_text(f"\r\n{HASH.upper()}\r\n")
    assert [(i.pdq, i.origin) for i in read_exchange(path, origin="NGO")] == [(HASH, "NGO")]


def test_a_cleared_item_does_not_come_back_as_a_product(tmp_path: Path) -> None:
    path = tmp_path / "hashes.txt"
    cleared = replace(item("f" * 64), finding=Finding.CLEARED)
    assert write_exchange([item(), cleared], path) == 1
    assert [found.pdq for found in read_exchange(path)] == [HASH]


def test_an_item_keeps_the_origin_that_it_has(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    write_exchange([item(origin="first"), item()], path)
    assert [i.origin for i in read_exchange(path, origin="second")] == ["first", "second"]


GOOD = f'{{"signal_type": "pdq", "signal_value": "{HASH}", "finding": "product", "time": "{TIME}"}}'


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.json", "", "not JSON"),
        ("x.json", "[" * 100_000, "not JSON"),
        ("x.json", "[]", "not an exchange file"),
        ("x.json", '{"format": "other"}', "not an exchange file"),
        ("x.json", '{"format": "wildlife-known-items", "version": 2, "items": []}', "version 2"),
        ("x.json", '{"format": "wildlife-known-items", "version": 1}', "list of items"),
        ("x.csv", "signal_type,signal_value\npdq,abc\n", "line 2: signal_value"),
        ("x.csv", "a,b\n1,2\n", "line 2: signal_type"),
        ("x.csv", f"signal_type,signal_value\npdq,{HASH},3\n", "line 2: unknown key"),
        ("x.txt", f"{HASH}\nhello\n", "line 2: signal_value"),
        ("x.txt", b"\xff\xfe", "cannot be read"),
        ("x.xml", "", r"\.json, \.csv, \.txt"),
    ],
)
def test_a_bad_exchange_file_is_told(
    name: str, content: str | bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BankError, match=rf"{name}.*{words}"):
        read_exchange(path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"pdq"', '"md5"', "signal_type"),
        (HASH, HASH[:-2], "signal_value"),
        ('"product"', '"guilty"', "finding"),
        (TIME, "soon", "time"),
        ("}", ', "photo": "data:..."}', "unknown key 'photo'"),
        ("}", ', "note": ["a"]}', "note"),
        (GOOD, "3", "is not an item"),
    ],
)
def test_a_bad_item_is_named(old: str, new: str, words: str, tmp_path: Path) -> None:
    bad = GOOD.replace(old, new)
    content = f'{{"format": "wildlife-known-items", "version": 1, "items": [{GOOD}, {bad}]}}'
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(BankError, match=f"item 2: .*{words}"):
        read_exchange(tmp_path / "x.json")


def test_an_export_that_fails_leaves_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_exchange([item()], path)
    before = path.read_bytes()

    def broken() -> object:
        yield item()
        raise BankError("gone")

    with pytest.raises(BankError, match="gone"):
        write_exchange(broken(), path)  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UsageError, match="make it first"):
        write_exchange([], tmp_path / "none" / "x.json")


@pytest.mark.parametrize("suffix", [".json", ".csv", ".txt"])
def test_only_an_exchange_file_is_overwritten(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.touch()
    assert [write_exchange([item()], path), write_exchange([item()], path)] == [1, 1]
    for other in (b'{"id": 7}\n', b"id,title,image\n7,tusk,a.jpg\n", b"a note\n", b"\xff\xd8\xff"):
        path.write_bytes(other)
        with pytest.raises(UsageError, match="will not be overwritten"):
            write_exchange([item()], path)
        assert path.read_bytes() == other


# --- matches --------------------------------------------------------------------------------------


def test_matches_are_the_nearest_first_and_each_item_once(tmp_path: Path) -> None:
    hashes = random_hashes(100)
    sought = hashes[3].tobytes().hex()
    near = {flips: with_flips(hashes[3], flips).tobytes().hex() for flips in (0, 7, 31, 32)}
    with Bank(tmp_path / "bank", create=True) as bank:
        bank.add(item(hash_.tobytes().hex()) for hash_ in hashes[4:])
        bank.add(item(pdq, note=f"{flips} bits") for flips, pdq in near.items())
        bank.add([item(near[7], note="another finding", finding="cleared")])
    with share_bank(tmp_path / "bank") as known:
        found = known.match(sought)
        assert [(m.distance, m.transform) for m in found] == [
            *((0, "identity"), (7, "identity"), (7, "identity"), (31, "identity"))
        ]
        assert {m.note for m in found} == {"0 bits", "7 bits", "another finding", "31 bits"}
        assert [m.distance for m in known.match(sought, 10)] == [0, 7, 7]
        assert known.match(None) == ()
        assert known.match("5" * 64) == ()


def test_later_additions_are_for_the_next_scan(tmp_path: Path) -> None:
    with Bank(tmp_path / "bank", create=True) as bank:
        bank.add([item(note="first")])
        with share_bank(tmp_path / "bank") as known:
            bank.add([item(note="second")])
            assert [m.note for m in known.match(HASH)] == ["first"]
            with share_bank(tmp_path / "bank") as later:
                assert later.digest != known.digest
                assert len(later.match(HASH)) == 2


def test_a_bank_with_thousands_of_findings_of_one_picture_does_not_swell_the_rows(
    tmp_path: Path,
) -> None:
    with Bank(tmp_path / "bank", create=True) as bank:
        bank.add(item(note=str(number)) for number in range(3000))
    with share_bank(tmp_path / "bank") as known:
        assert len(known.match(HASH)) == 20


@pytest.mark.parametrize("seed", range(5))
def test_mirrored_and_turned_pictures_are_found_where_asked_for(seed: int, tmp_path: Path) -> None:
    with Bank(tmp_path / "bank", create=True) as bank:
        bank.add([item(hash_of(seed))])
    mirrored = perceptual_hash(np.asarray(scene(seed))[:, ::-1].copy())
    with share_bank(tmp_path / "bank", match_rotations=True) as known:
        (match,) = known.match(mirrored)
        assert match.transform == "flip_left_right"
        assert known.match(hash_of(seed))[0].transform == "identity"
        every_way = known.digest
    with share_bank(tmp_path / "bank") as known:
        assert known.match(mirrored) == ()
        assert known.digest != every_way


def test_an_empty_bank_matches_nothing(tmp_path: Path) -> None:
    Bank(tmp_path / "bank", create=True).close()
    with share_bank(tmp_path / "bank", match_rotations=True) as known:
        assert known.match(HASH) == ()
