import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizer.errors import BankError
from recognizer.known.bank import Bank, KnownItem
from recognizer.rows import ScanFile
from tests.known.items import HASH, item, items
from tests.rows.rows import execute


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("pdq", value) for value in ("", HASH[:-1], HASH.upper(), HASH + "\n", None, 7)],
        *[("finding", value) for value in ("guilty", "", None)],
        *[("time", value) for value in ("", "yesterday", "2026-03-01T10:00:00", None, 5)],
        ("time", "0001-01-01T00:00:00+10:00"),
        *[("label", value) for value in ("", "Ivory", "a b", "x" * 65, "ivory\n", 3)],
        *[("note", value) for value in ("", "x" * 2001, "two\nlines")],
        *[("note", value) for value in ("\0", "\ud800", "\x1b[2J", 3)],
        *[(key, "x" * 201) for key in ("by", "origin")],
    ],
)
def test_a_value_that_makes_no_sense_is_refused(key: str, value: object) -> None:
    with pytest.raises(BankError, match=key):
        item(**{key: value})


@given(items, items)
def test_equal_items_and_no_others_have_one_id(one: KnownItem, other: KnownItem) -> None:
    assert (one.id == other.id) == (one == other)
    assert one.id == hashlib.blake2b(json.dumps(astuple(one)).encode(), digest_size=8).hexdigest()


@settings(max_examples=25)
@given(st.lists(st.lists(items, max_size=4), max_size=3), st.randoms())
def test_banks_merge_in_any_order_and_as_often_as_one_likes(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[KnownItem]], random: Random
) -> None:
    digests = set()
    for _ in range(2):
        order = [*parts, *parts]
        random.shuffle(order)
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

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(add, ("a", "b", "c")))
    with Bank(tmp_path / "bank") as bank:
        assert len(bank) == 60


@pytest.mark.parametrize("create", [True, False])
def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path, *, create: bool) -> None:
    files = [b"\xff\xd8 photo", b'{"source": "a"}\n', b"notes of somebody" * 100]
    files += [b"no database", b"SQLite format 3\0" + bytes(84)]
    for number, content in enumerate(files):
        (tmp_path / f"file-{number}").write_bytes(content)
    execute(tmp_path / "database", "CREATE TABLE mine (x)")
    with ScanFile(tmp_path / "scan", create=True):
        pass
    for _ in range(2):
        Bank(tmp_path / "newer", create=True).close()
    execute(tmp_path / "newer", "PRAGMA user_version = 99")
    for path in [*tmp_path.iterdir()]:
        before = path.read_bytes()
        words = {"newer": "version 99", "database": "bank of known", "scan": "bank of known"}
        with pytest.raises(BankError, match=rf"{path.name} .*{words.get(path.name, '')}"):
            Bank(path, create=create)
        assert path.read_bytes() == before
