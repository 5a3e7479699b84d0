"""Damaged journals: every whole row is kept, and what was dropped is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from recognizer.cli import ExitCode
from recognizer.errors import ScanFileError, UsageError
from recognizer.rows.chain import chain_path, verify_chain
from recognizer.rows.journal import Journal, last_rows
from recognizer.rows.repair import repair
from tests.conftest import invoke
from tests.rows.rows import bare_row, write_rows_of_schema_4

# The columns of one have the look of a row.
ROWS = [
    bare_row("a.jpg", 0.1, "clear"),
    bare_row("b.jpg", 0.6, "review", item={"source": "shop", "status": "new", "schema": 1}),
    bare_row("c.jpg", 0, "unscored"),
    bare_row("d.jpg", 0.2, "clear", item={"title": '{"source":"x"}'}),
]
A, B, C, D = (row.to_json_line() for row in ROWS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.jsonl"


DAMAGED = {
    "a hole of NULs": (bytes(5000) + A + B, A + B, 5000),
    "NULs in the middle": (A + bytes(64) + b"\n" + B, A + B, 64),
    "NULs at the end": (A + B + bytes(64), A + B, 64),
    "a torn last line": (A + B[:200], A, 200),
    "a last line without its end": (A + B[:-1], A + B, 0),
    "a torn line run into the next": (A[:70] + B + C, B + C, 70),
    "torn within its columns": (A + B[: B.index(b'"new"')] + D, A + D, B.index(b'"new"')),
    "rows in one line": (A[:-1] + B[:-1] + D, A + B + D, 0),
    "a line of notes": (A + b"remember this\n" + B, A + B, 13),
    "an empty line": (A + b"\n" + B, A + B, 0),
    "deep": (A + b'{"source":' + b"[" * 5000 + b"\n" + B, A + B, 5010),
    "a long number": (A + b'{"source":' + b"9" * 5000 + b"}\n" + B, A + B, 5011),
    "not text": (A + b'{"source":"\xff"}\n' + B, A + B, 14),
    "many beginnings": (A + b'{"source":' * 500 + b"\n" + B, A + B, 5000),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_whole_rows_are_kept(path: Path, name: str) -> None:
    damaged, whole, dropped = DAMAGED[name]
    path.write_bytes(damaged)
    done = repair(path)
    assert path.read_bytes() == whole
    assert done.rows == whole.count(b"\n")
    assert sum(damage.dropped for damage in done.damages) == dropped
    assert done.has_dropped is bool(dropped)
    assert done.backup is not None
    assert done.backup.read_bytes() == damaged
    assert verify_chain(path).problems == ()
    assert len([*last_rows(path)]) == done.rows
    Journal(path).close()
    assert not repair(path).is_needed


def test_a_whole_journal_is_left_as_it_is(path: Path) -> None:
    with Journal(path) as journal:
        journal.append(ROWS)
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    done = repair(path)
    assert (done.is_needed, done.has_dropped, done.rows) == (False, False, 4)
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before


def test_rows_that_the_chain_counts_are_missed_and_its_sound_links_stay(path: Path) -> None:
    with Journal(path) as journal:
        journal.append(ROWS[:1])
        kept = journal.last_link
        journal.append(ROWS[1:])
    path.write_bytes(A + B)
    done = repair(path)
    assert (done.missing, done.rows, done.has_dropped) == (2, 2, True)
    assert chain_path(done.backup or path).exists()
    check = verify_chain(path, kept=kept.sha256)
    assert check.problems == ()
    assert check.kept == kept
    assert check.last == done.link
    assert done.link.rows == 2


def test_rows_that_were_changed_are_kept_as_they_are_and_told(path: Path) -> None:
    with Journal(path) as journal:
        journal.append(ROWS)
    path.write_bytes(path.read_bytes().replace(b"a.jpg", b"z.jpg"))
    done = repair(path)
    assert (done.missing, done.has_dropped) == (0, False)
    assert "lines 1 to 4" in done.chain[0]
    assert b"z.jpg" in path.read_bytes()
    assert verify_chain(path).problems == ()


@pytest.mark.parametrize("content", [b"", b"notes\n", b"\xff\xd8\xff\xe0" * 99, bytes(5000)])
def test_what_has_no_row_is_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ScanFileError, match="no row of a scan"):
        repair(path)
    assert path.read_bytes() == content
    assert [*path.parent.iterdir()] == [path]


def test_what_cannot_be_repaired(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ScanFileError, match="No such file"):
        repair(path)
    with Journal(path) as journal:
        journal.append(ROWS)
        with pytest.raises(ScanFileError, match="in use"):
            repair(path)
    with pytest.raises(UsageError, match="name another"):
        repair(path, path)
    write_rows_of_schema_4(tmp_path / "old.jsonl")
    with pytest.raises(ScanFileError, match=r"schema 4.*scan the images again"):
        repair(tmp_path / "old.jsonl")


def test_the_command_says_what_it_dropped(path: Path, tmp_path: Path) -> None:
    path.write_bytes(bytes(99) + A + b"\x1b[31m\n" * 30 + B)
    done = invoke("repair", path, "--output", tmp_path / "new.jsonl")
    assert done.exit_code == ExitCode.SOME_FAILED
    assert "line 1 (byte 0): 99 NUL bytes" in done.stderr
    assert "11 more damaged lines" in done.stderr
    assert "\x1b" not in done.output
    assert "new.jsonl: 2 rows" in done.stdout
    assert path.read_bytes().startswith(bytes(99))
    assert invoke("repair", tmp_path / "new.jsonl").exit_code == ExitCode.DONE
    path.write_bytes(A + B[:-1])
    again = invoke("repair", path)
    assert again.exit_code == ExitCode.DONE
    assert "scan.jsonl.damaged" in again.stdout
    assert path.read_bytes() == A + B
