from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from recognizer.cli import ExitCode, exit_code
from recognizer.engine import Recognizer
from recognizer.errors import ScanFileChangedError, ScanFileError
from recognizer.policy import Decision
from recognizer.rows.journal import Journal, last_rows, row_key
from recognizer.rows.row import BankReference, Row
from recognizer.status import Reason, Status
from tests.conftest import encoded, invoke, picture
from tests.rows.rows import bare_row, row_of, write_rows_of_schema_4

DEEP = 200_000  # newer versions of Python read tens of thousands of levels


@pytest.fixture
def rows(recognizer: Recognizer) -> list[Row]:
    return [
        row_of(recognizer, f"{color}.jpg", encoded(picture(color)), item={"id": 7})
        for color in ("red", "green", "blue")
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.jsonl"


def test_rows_are_found_again(path: Path, rows: list[Row]) -> None:
    key = rows[1].key
    with Journal(path) as journal:
        assert journal.known(key) is None
        journal.append(rows[:2])
        journal.append(rows[2:])
        assert journal.last_row(key) == rows[1]
    with Journal(path) as journal:
        assert journal.known(key) == row_key(rows[1])
        assert journal.last_row(key) == rows[1]
        newer = replace(rows[1], sha256="0" * 64, detail="x" * 10_000)
        journal.append([newer])
        assert journal.last_row(key) == newer
    assert len(path.read_bytes().splitlines()) == 4


def test_the_last_row_of_each_item_counts(path: Path, rows: list[Row]) -> None:
    newer = replace(rows[0], detail="newer")
    other_item = replace(rows[1], item={"id": 8})
    with Journal(path) as journal:
        journal.append([*rows, other_item])
        journal.append([newer])
        assert list(last_rows(path)) == [rows[1], rows[2], other_item, newer]
    with path.open("ab") as file:
        file.write(rows[2].to_json_line()[:40])
    assert list(last_rows(path)) == [rows[1], rows[2], other_item, newer]


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("kept", [1, 5, 9, 10, 12, 200, -1, b"\0" * 64])
def test_a_torn_last_line_is_cut_off(
    path: Path, rows: list[Row], before: int, kept: int | bytes
) -> None:
    torn = kept if isinstance(kept, bytes) else rows[2].to_json_line()[:kept]
    whole = b"".join(row.to_json_line() for row in rows[:before])
    path.write_bytes(whole + torn)
    with Journal(path) as journal:
        assert journal.torn_bytes == len(torn)
        journal.append([rows[2]])
    assert path.read_bytes() == whole + rows[2].to_json_line()


@pytest.mark.parametrize(
    "content",
    [b"\xff\xd8\xff\xe0 a photo", b"notes of somebody", b'{"other":1}\n', b'{"source":"a"}\n'],
)
def test_what_is_no_journal_is_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ScanFileError, match=r"scan\.jsonl"):
        Journal(path)
    assert path.read_bytes() == content


def test_a_broken_line_in_the_middle_is_named(path: Path, rows: list[Row]) -> None:
    path.write_bytes(rows[0].to_json_line() + b'{"source":"x",\n' + rows[1].to_json_line())
    with pytest.raises(ScanFileError, match="line 2"):
        Journal(path)


def test_two_scans_on_one_journal_are_refused(path: Path) -> None:
    with Journal(path), pytest.raises(ScanFileError, match="in use by another scan"):
        Journal(path)
    Journal(path).close()


@pytest.mark.parametrize("place", ["folder", "missing/scan.jsonl", "fifo"])
def test_places_where_no_journal_can_be(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ScanFileError, match=place):
        Journal(tmp_path / place)


@pytest.mark.parametrize(
    ("accident", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), ScanFileError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_an_append_that_fails_leaves_whole_lines(
    path: Path,
    rows: list[Row],
    monkeypatch: pytest.MonkeyPatch,
    accident: BaseException,
    expected: type[BaseException],
) -> None:
    def fsync(descriptor: int) -> None:
        raise accident

    with Journal(path) as journal:
        journal.append(rows[:1])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            with pytest.raises(expected):
                journal.append(rows[1:])
        assert path.read_bytes() == rows[0].to_json_line()
        journal.append(rows[2:])
    assert path.read_bytes() == rows[0].to_json_line() + rows[2].to_json_line()


def test_what_is_tried_again(rows: list[Row]) -> None:
    """Equal keys: the row need not be written again."""
    other, same = bare_row("a", 0, "unscored"), bare_row("b", 0, "unscored")
    denied = replace(other, reason=Reason.PERMISSION_DENIED)
    assert row_key(other) == row_key(same) != row_key(denied)
    row = rows[0]
    changed = [
        replace(row, sha256="0" * 64),
        replace(row, preprocessing=99),
        replace(row, model=replace(row.model, digest="0" * 64)),
        replace(row, policy=replace(row.policy, digest="0" * 64)),
        replace(row, bank=BankReference(name="seized", digest="0" * 64)),
        replace(row, status=Status.FAILED, reason=Reason.EMPTY, decision=Decision.UNSCORED),
    ]
    assert len({row_key(row) for row in [row, *changed]}) == 7


def test_a_journal_of_another_schema_is_refused_and_left_as_it_is(path: Path) -> None:
    write_rows_of_schema_4(path)
    before = path.read_bytes()
    for use in (Journal, lambda path: [*last_rows(path)]):
        with pytest.raises(ScanFileError, match=r"schema 4.*scan the images again into a new"):
            use(path)
    newer = json.loads(before) | {"schema": 7}
    path.write_text(json.dumps(newer, separators=(",", ":")) + "\n")
    with pytest.raises(ScanFileError, match=r"schema 7.*update this program"):
        Journal(path)
    path.write_bytes(before)
    always = ("--workers", 1, "--output", path)
    for verb in (
        ("scan", path.parent, *always),
        ("report", path, "--output", path.with_name("page.html")),
        ("merge", path, "--output", path.with_name("all.jsonl")),
        ("rows", path, "-o", path.with_name("rows.csv")),
        ("duplicates", path),
    ):
        done = invoke(*verb)
        assert done.exit_code == ExitCode.USAGE, verb
        assert "scan the images again into a new journal" in " ".join(done.stderr.split()), verb
    assert path.read_bytes() == before


BARE = [bare_row(f"{number}.jpg", 0.1, "clear") for number in range(4)]


def _removed(path: Path) -> None:
    path.unlink()


def _renamed(path: Path) -> None:
    path.rename(path.with_name("scan.jsonl.1"))


def _rotated(path: Path) -> None:
    _renamed(path)
    path.touch()


def _replaced(path: Path) -> None:
    path.unlink()
    path.write_bytes(BARE[3].to_json_line())


def _truncated(path: Path) -> None:
    os.truncate(path, 0)


def _shortened(path: Path) -> None:
    os.truncate(path, 100)


def _grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(BARE[3].to_json_line())


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be moved or removed there")
@pytest.mark.parametrize(
    ("happens", "words", "rows_in"),
    [
        (_removed, r"was removed .* written again to .*scan\.jsonl\.", "scan.jsonl"),
        (_renamed, r"was renamed .*Put it back", "scan.jsonl.1"),
        (_rotated, r"was renamed .*Put it back", "scan.jsonl.1"),
        (_replaced, r"was removed .*scan\.jsonl\.recovered", "scan.jsonl.recovered"),
        (_truncated, "0 bytes instead of .*copytruncate.*name another --output", None),
        (_shortened, "100 bytes instead of", None),
        (_grown, "bytes instead of", "scan.jsonl"),
    ],
)
def test_a_journal_that_others_touch_in_mid_scan_is_a_clear_stop(
    path: Path, happens: Callable[[Path], None], words: str, rows_in: str | None
) -> None:
    with Journal(path) as journal:
        journal.append(BARE[:2])
        before = path.read_bytes()
        happens(path)
        left = path.read_bytes() if path.exists() else b""
        with pytest.raises(ScanFileChangedError, match=words) as caught:
            journal.append(BARE[2:3])
    assert exit_code(caught.value) == ExitCode.INTERNAL_ERROR
    if rows_in is not None:
        assert path.with_name(rows_in).read_bytes().startswith(before)
    if rows_in != "scan.jsonl":
        assert (path.read_bytes() if path.exists() else b"") == left


def test_rows_that_meet_a_truncation_leave_no_hole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(path) as journal:
        journal.append(BARE[:2])
        last = journal.last_row(BARE[1].key)
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "check", _truncated_at(path))  # after it has looked
            journal.append(BARE[2:3])
        assert path.read_bytes() == BARE[2].to_json_line()
        with pytest.raises(ScanFileChangedError):
            journal.check()
        with pytest.raises(ScanFileChangedError):
            journal.last_row(last.key)


def _truncated_at(path: Path) -> Callable[[Journal], None]:
    return lambda _: _truncated(path)


@pytest.mark.parametrize(
    "value",
    [b"[" * DEEP + b"]" * DEEP, b"9" * 5000, b'"\xff"', b'{"a":' * DEEP + b"1" + b"}" * DEEP],
)
def test_a_journal_that_was_edited_by_hand_is_one_line_and_exit_2(path: Path, value: bytes) -> None:
    line = BARE[1].to_json_line().replace(b'"item":null', b'"item":{"a":' + value + b"}")
    path.write_bytes(BARE[0].to_json_line() + line)
    for verb in (("rows", path, "-o", path.with_name("rows.csv")), ("duplicates", path)):
        done = invoke(*verb)
        assert done.exit_code == ExitCode.USAGE
        assert "line 2" in done.stderr
        assert done.stderr.count("\n") == 1
        assert len(done.stderr.replace(str(path), "")) < 300
