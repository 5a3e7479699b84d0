"""The chain of a journal: what was written can be told from what was changed since."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from recognizer.cli import ExitCode
from recognizer.errors import ScanFileChangedError, ScanFileError
from recognizer.rows.chain import START, Chain, chain_path, verify_chain
from recognizer.rows.journal import Journal
from recognizer.rows.merging import merge
from tests.conftest import invoke
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


def test_each_append_has_a_link_over_the_one_before_and_its_bytes(path: Path) -> None:
    content = write(path, 2, 3)
    links = [json.loads(line) for line in chain_path(path).read_bytes().splitlines()]
    lines = content.splitlines(keepends=True)
    before = bytes(32)
    for link, block in zip(links, (lines[:2], lines[2:]), strict=True):
        before = hashlib.sha256(before + b"".join(block)).digest()
        assert link["sha256"] == before.hex()
    assert [(link["end"], link["rows"]) for link in links] == [
        (len(b"".join(lines[:2])), 2),
        (len(content), 5),
    ]
    check = verify_chain(path)
    assert (check.problems, len(check.links), check.last.rows) == ((), 2, 5)


def test_an_opened_journal_goes_on_with_its_chain(path: Path) -> None:
    write(path, 2)
    with Journal(path) as journal:
        link = journal.last_link
        journal.append(ROWS[2:4])
    check = verify_chain(path, kept=link.sha256)
    assert check.problems == ()
    assert check.kept == link
    assert check.last.rows == 4


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
    check = verify_chain(path)
    assert (check.problems, check.last.rows) == ((), 7)


def test_a_torn_row_is_in_no_link(path: Path) -> None:
    write(path, 2)
    with path.open("ab") as file:
        file.write(ROWS[2].to_json_line()[:50])
    with Journal(path) as journal:
        assert journal.torn_bytes == 50
        assert journal.last_link.rows == 2
    assert verify_chain(path).problems == ()


def _byte(path: Path) -> None:
    content = path.read_bytes()
    place = content.index(b'"3.jpg"')
    path.write_bytes(content[:place] + b'"8.jpg"' + content[place + 7 :])


def _line(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3] + lines[4:]))


def _swapped(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2], lines[3] = lines[3], lines[2]
    path.write_bytes(b"".join(lines))


@pytest.mark.parametrize("change", [_byte, _line, _swapped])
def test_a_change_is_named_by_its_lines(path: Path, change: Callable[[Path], None]) -> None:
    write(path, 2, 3, 2)
    change(path)
    check = verify_chain(path)
    assert "lines 3 to 5" in check.problems[0]
    assert check.last.rows == 2


def test_what_was_cut_off_is_named(path: Path) -> None:
    content = write(path, 2, 3)
    path.write_bytes(b"".join(content.splitlines(keepends=True)[:3]))
    check = verify_chain(path)
    assert check.last.rows == 2
    assert "5 rows" in check.problems[0]
    with pytest.raises(ScanFileError, match=r"5 rows .* were written .*recognizer repair"):
        Journal(path)


def test_a_chain_that_was_made_again_does_not_have_the_link_that_was_kept(path: Path) -> None:
    write(path, 2, 3)
    kept = verify_chain(path).last.sha256
    _byte(path)
    chain_path(path).unlink()
    Journal(path).close()
    assert verify_chain(path).problems == ()
    assert kept in verify_chain(path, kept=kept).problems[0]


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
    with pytest.raises(ScanFileError, match="recognizer repair"):
        Journal(path)
    assert chain_path(path).read_bytes() == line
    assert verify_chain(path).last == START


def test_a_journal_that_was_moved_away_is_not_begun_anew_unseen(path: Path) -> None:
    write(path, 5)
    path.rename(path.with_name("scan.jsonl.1"))
    with pytest.raises(ScanFileError, match=r"5 rows .*put the whole file back.*begin anew"):
        Journal(path)
    assert not path.exists()
    path.with_name("scan.jsonl.1").rename(path)
    Journal(path).close()


def test_a_chain_that_is_lost_in_mid_scan_is_a_clear_stop(path: Path) -> None:
    with Journal(path) as journal:
        journal.append(ROWS[:2])
        chain_path(path).unlink()
        with pytest.raises(ScanFileChangedError, match="the rows are safe"):
            journal.append(ROWS[2:3])
    with Journal(path) as journal:
        journal.append(ROWS[2:3])
    assert verify_chain(path).last.rows == 3


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
    check = verify_chain(path)
    assert (check.problems, [link.rows for link in check.links]) == ((), [2, 5])


def test_a_merged_journal_has_a_chain_of_its_own(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    write(path, 2, 3)
    with Journal(other) as journal:
        journal.append(ROWS[5:8])
    merge([path, other], path)
    check = verify_chain(path)
    assert (check.problems, check.last.rows) == ((), 8)
    Journal(path).close()


def test_the_command_names_what_was_changed(path: Path) -> None:
    write(path, 2, 3)
    kept = verify_chain(path).last.sha256
    done = invoke("verify", path, "--digest", kept)
    assert done.exit_code == ExitCode.DONE, done.stderr
    assert "the first 5 rows are as they were written" in done.stdout
    _byte(path)
    done = invoke("verify", path, "--digest", kept, "--json")
    assert done.exit_code == ExitCode.SOME_FAILED
    found = json.loads(done.stdout)
    assert found["rows"] == 2
    assert "lines 3 to 5" in found["problems"][0]
    assert "lines 3 to 5" in invoke("verify", path).stderr
    chain_path(path).unlink()
    assert invoke("verify", path).exit_code == ExitCode.SOME_FAILED
    assert invoke("verify", path, "--public-key", path).exit_code == ExitCode.USAGE
    assert invoke("verify", path.with_name("none")).exit_code == ExitCode.USAGE


def test_a_scan_ends_with_the_link_of_its_rows(
    scan: Callable[..., Result], photo_folder: Callable[..., Path], path: Path
) -> None:
    done = scan(photo_folder("red", "green"))
    assert verify_chain(path).last.sha256 in done.stdout
