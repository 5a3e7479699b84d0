import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizer.errors import BankError
from recognizer.known.bank import Bank, KnownItem, read_exchange, write_exchange
from tests.known.items import HASH, TIME, item, items


@pytest.mark.parametrize("suffix", [".csv", ".CSV"])
@settings(max_examples=25)
@given(sent=st.lists(items, max_size=5))
def test_what_is_exported_is_what_is_imported(
    suffix: str, sent: list[KnownItem], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("exchange") / f"items{suffix}"
    assert write_exchange(sent, path) == len(sent)
    assert [*read_exchange(path)] == sent


def test_a_note_that_a_spreadsheet_would_run_is_a_text(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    write_exchange([item(note="=1+1")], path)
    assert ",'=1+1" in path.read_text()
    assert next(read_exchange(path)).note == "=1+1"
    with pytest.raises(BankError, match=r"must end in \.csv"):
        write_exchange([], tmp_path / "items.txt")


GOOD = f"pdq,{HASH},product,{TIME},"
HEADER = "signal_type,signal_value,finding,time,note"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no column signal_type"),
        ("signal_type,signal_value\npdq,abc\n", "no column finding"),
        (f"{HEADER},photo\n{GOOD},x\n", "line 2: unknown column photo"),
        (f"{HEADER},note,note\n{GOOD},a,b\n", "two columns are named 'note'"),
        (f"{HEADER}\n{GOOD},3\n", "line 2: unknown column at its end"),
        (f'{HEADER}\n"pdq', "unexpected end"),
        *(
            ("\n".join([HEADER, GOOD, GOOD.replace(old, new)]), f"line 3: .*{words}")
            for old, new, words in (
                *(("pdq,", "md5,", "signal_type"), (HASH, HASH[:-2], "pdq")),
                *(("product", "guilty", "finding"), (TIME, "soon", "time")),
            )
        ),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_bad_exchange_file_is_refused(content: str | bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BankError, match=rf"x\.csv.*{words}"):
        list(read_exchange(path))


def test_what_is_not_a_regular_file_is_neither_read_nor_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    for name in ("fifo.csv", "zero.csv"):
        with pytest.raises(BankError, match=f"{name} is not a regular file"):
            read_exchange(tmp_path / name)


@pytest.mark.parametrize("content", [b"0", b"\0", b'"'])
def test_a_line_without_an_end_is_not_held_in_memory(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(f"{HEADER}\n".encode() + content * (64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(BankError, match=r"line [12]"):
            list(read_exchange(path))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_many_items_need_no_memory(tmp_path: Path) -> None:
    """A million are imported like these: line by line, in one transaction."""
    path, count = tmp_path / "x.csv", 5_000
    write_exchange((item(f"{number:064x}", note="x" * 200) for number in range(count)), path)
    with Bank(tmp_path / "bank", create=True) as bank:
        tracemalloc.start()
        try:
            assert bank.add(read_exchange(path)) == count
            assert tracemalloc.get_traced_memory()[1] < 1 << 20  # the file has 1.5 MB
        finally:
            tracemalloc.stop()
        assert bank.add(read_exchange(path)) == 0
        with path.open("a") as file:
            file.write("pdq,nonsense\n")
        with pytest.raises(BankError, match=f"line {count + 2}"):
            bank.add(read_exchange(path, origin="new"))
        assert len(bank) == count
