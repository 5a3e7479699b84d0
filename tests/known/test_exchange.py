from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizer.errors import BankError
from recognizer.known import KnownItem, read_exchange, write_exchange
from recognizer.policy import Finding
from tests.known.items import HASH, TIME, item, items


@pytest.mark.parametrize("suffix", [".csv", ".CSV"])
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


GOOD = f"pdq,{HASH},product,{TIME},"
HEADER = "signal_type,signal_value,finding,time,note"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.csv", "", "no column signal_type"),
        ("x.csv", "signal_type,signal_value\npdq,abc\n", "no column finding"),
        ("x.csv", f"{HEADER},photo\n{GOOD},x\n", "line 2: unknown column photo"),
        ("x.csv", f"{HEADER}\n{GOOD},3\n", "line 2: unknown column at its end"),
        ("x.csv", f'{HEADER}\n"pdq', "unexpected end"),
        *(
            ("x.csv", "\n".join([HEADER, GOOD, GOOD.replace(old, new)]), f"line 3: .*{words}")
            for old, new, words in (
                *(("pdq,", "md5,", "signal_type"), (HASH, HASH[:-2], "pdq")),
                *(("product", "guilty", "finding"), (TIME, "soon", "time")),
            )
        ),
        ("x.txt", f"{HASH}\nhello\n", "line 2: pdq = 'hello'"),
        ("x.txt", b"\xff\xfe", "cannot be read"),
        ("x.json", "", r"\.csv or \.txt"),
    ],
)
def test_a_bad_exchange_file_is_refused(
    name: str, content: str | bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BankError, match=rf"{name}.*{words}"):
        read_exchange(path)


@pytest.mark.skipif(os.name == "nt", reason="there are no FIFOs")
def test_what_is_no_regular_file_is_neither_read_nor_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.txt")
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    for name in ("fifo.txt", "zero.txt"):
        with pytest.raises(BankError, match=f"{name} is not a regular file"):
            read_exchange(tmp_path / name)


@pytest.mark.parametrize("suffix", [".csv", ".txt"])
def test_what_is_too_large_is_not_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.touch()
    os.truncate(path, (256 << 20) + 1)
    with pytest.raises(BankError, match="more than 256 MiB: split it"):
        read_exchange(path)
