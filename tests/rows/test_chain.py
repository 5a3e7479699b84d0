"""The chain of a journal: a link for each append."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from recognizer.errors import JournalChangedError, JournalError
from recognizer.rows.chain import Chain, chain_path
from recognizer.rows.journal import Journal
from recognizer.rows.merging import merge
from tests.rows.rows import bare_row

ROWS = [bare_row(f"{number}.jpg", number / 100, "clear") for number in range(12)]


def write(path: Path, *sizes: int) -> bytes:
    """Append rows, so many at a time, and return what the journal holds."""
    rows = iter(ROWS)
    with Journal(path) as journal:
        for size in sizes:
            journal.append([next(rows) for _ in range(size)])
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.jsonl"


def sealed_rows(path: Path) -> list[int]:
    """Return the rows up to each link, each of which is over the one before and its bytes."""
    content, before, end = path.read_bytes(), bytes(32), 0
    links = [json.loads(line) for line in chain_path(path).read_bytes().splitlines()]
    for link in links:
        before = hashlib.sha256(before + content[end : link["end"]]).digest()
        assert link["sha256"] == before.hex()
        end = link["end"]
    assert end == len(content)
    return [link["rows"] for link in links]


def test_each_append_has_a_link_also_after_opening_again(path: Path) -> None:
    write(path, 2, 3)
    with Journal(path) as journal:
        journal.append(ROWS[5:7])
    assert sealed_rows(path) == [2, 5, 7]


def _no_chain(path: Path) -> None:
    chain_path(path).unlink()


def _torn(path: Path) -> None:
    with chain_path(path).open("rb+") as file:
        file.truncate(file.seek(0, os.SEEK_END) - 20)


def _behind(path: Path) -> None:
    chain = chain_path(path)
    chain.write_bytes(chain.read_bytes().splitlines(keepends=True)[0])


def _nuls(path: Path) -> None:
    with chain_path(path).open("ab") as file:
        file.write(bytes(64))


@pytest.mark.parametrize("accident", [_no_chain, _torn, _behind, _nuls])
def test_rows_without_a_link_get_theirs_on_opening(
    path: Path, accident: Callable[[Path], None]
) -> None:
    content = write(path, 2, 3)
    accident(path)
    with Journal(path) as journal:
        assert journal.last_link.rows == 5
        journal.append(ROWS[5:7])
    assert path.read_bytes().startswith(content)
    assert sealed_rows(path)[-1] == 7


def test_a_torn_row_is_in_no_link(path: Path) -> None:
    write(path, 2)
    with path.open("ab") as file:
        file.write(ROWS[2].to_json_line()[:50])
    with Journal(path) as journal:
        assert journal.torn_bytes == 50
        assert journal.last_link.rows == 2
    assert sealed_rows(path) == [2]


def test_a_journal_that_was_cut_off_is_refused(path: Path) -> None:
    content = write(path, 2, 3)
    path.write_bytes(b"".join(content.splitlines(keepends=True)[:3]))
    with pytest.raises(JournalError, match=r"5 rows .* were written .*name another --output"):
        Journal(path)


@pytest.mark.parametrize(
    "line",
    [
        b"notes\n",
        b"{}\n" * 2 + b'{"end":1}\n',
        b'{"end":-1,"rows":1,"sha256":"' + b"0" * 64 + b'"}\n',
        b'{"end":1,"rows":1,"sha256":"0"}\n',
        b"[" * 5000 + b"\n",
        bytes(5000) + b"\n",
        b"\xff\xd8\xff" * 2000,
    ],
)
def test_what_is_no_chain_is_told_and_left_as_it_is(path: Path, line: bytes) -> None:
    write(path, 2)
    chain_path(path).write_bytes(line)
    with pytest.raises(JournalError, match="move it away"):
        Journal(path)
    assert chain_path(path).read_bytes() == line


def test_a_journal_that_was_moved_away_is_not_begun_anew_unseen(path: Path) -> None:
    write(path, 5)
    path.rename(path.with_name("scan.jsonl.1"))
    with pytest.raises(JournalError, match=r"5 rows .*put the whole file back.*begin anew"):
        Journal(path)
    assert not path.exists()
    path.with_name("scan.jsonl.1").rename(path)
    Journal(path).close()


def test_a_chain_that_is_lost_in_mid_scan_is_a_clear_stop(path: Path) -> None:
    with Journal(path) as journal:
        journal.append(ROWS[:2])
        chain_path(path).unlink()
        with pytest.raises(JournalChangedError, match="the rows are safe"):
            journal.append(ROWS[2:3])
    with Journal(path) as journal:
        journal.append(ROWS[2:3])
    assert sealed_rows(path) == [2, 3]


def test_a_full_disk_leaves_a_chain_that_the_next_link_goes_on_with(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(path) as journal:
        journal.append(ROWS[:2])
        with monkeypatch.context() as patch:
            patch.setattr(Chain, "seal", full)
            with pytest.raises(OSError, match="No space"):
                journal.append(ROWS[2:4])
        journal.append(ROWS[4:5])
    assert sealed_rows(path) == [2, 5]


def test_a_merged_journal_has_a_chain_of_its_own(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    write(path, 2, 3)
    with Journal(other) as journal:
        journal.append(ROWS[5:8])
    merge([path, other], path)
    assert sealed_rows(path) == [8]
    Journal(path).close()
