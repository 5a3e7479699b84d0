from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizer.errors import BankError, UsageError
from recognizer.known import KnownItem, read_exchange, write_exchange
from recognizer.policy import Finding
from tests.known.items import HASH, TIME, item, items


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
        (
            "x.json",
            '{"format": "wildlife-known-items", "version": 2, "items": []}',
            "another version than 1",
        ),
        ("x.json", '{"format": "wildlife-known-items", "version": 1}', "list of items"),
        ("x.csv", "signal_type,signal_value\npdq,abc\n", "line 2: .*`finding`"),
        ("x.csv", "a,b\n1,2\n", "line 2: .*field `a`"),
        ("x.csv", f"signal_type,signal_value\npdq,{HASH},3\n", "line 2: Expected"),
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
        ("}", ', "photo": "data:..."}', "unknown field `photo`"),
        ("}", ', "note": ["a"]}', "note"),
        (GOOD, "3", "Expected `object`"),
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

    def broken() -> Iterator[KnownItem]:
        yield item()
        raise BankError("gone")

    with pytest.raises(BankError, match="gone"):
        write_exchange(broken(), path)
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


@pytest.mark.skipif(os.name == "nt", reason="there are no FIFOs")
def test_what_is_no_regular_file_is_neither_read_nor_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.txt")
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    for name in ("fifo.txt", "zero.txt"):
        with pytest.raises(BankError, match=f"{name} is not a regular file"):
            read_exchange(tmp_path / name)


@pytest.mark.parametrize("suffix", [".json", ".csv", ".txt"])
def test_what_is_too_large_is_not_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.touch()
    os.truncate(path, (256 << 20) + 1)
    with pytest.raises(BankError, match="more than 256 MiB: split it"):
        read_exchange(path)
