from __future__ import annotations

import os
from pathlib import Path

import pytest

from recognizer.errors import ScanFileError
from recognizer.rows.files import RACY_NS, FileState, FileStore

SHA = "ab" * 32
STATE = FileState(size=10, modified=20, changed=30, inode=(1 << 64) - 1)


def test_a_state_is_found_until_anything_of_it_differs(tmp_path: Path) -> None:
    with FileStore(tmp_path / "f", create=True) as store:
        store.add([(0, STATE, SHA), ((1 << 64) - 1, STATE, "cd" * 32)])
    with FileStore(tmp_path / "f", create=True) as store:
        assert store.sha256(0, STATE) == SHA
        assert store.sha256((1 << 64) - 1, STATE) == "cd" * 32
        assert store.sha256(1, STATE) is None
        for name in STATE._fields:
            assert store.sha256(0, STATE._replace(**{name: 7})) is None
        store.add([(0, STATE._replace(size=7), SHA)])
    with FileStore(tmp_path / "f", create=True) as store:
        assert store.sha256(0, STATE) is None, "the last one counts"


def test_the_state_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    status, state = path.stat(), FileState.of(str(path))
    assert state == (5, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    assert FileState.of(str(tmp_path / "gone")) is None
    assert FileState.of("a\0b") is None


@pytest.mark.parametrize(
    ("modified", "changed", "expected"),
    [(0, 0, True), (0, 1, False), (1, 0, False), (RACY_NS + 1, 0, False)],
)
def test_a_file_that_changed_just_before_it_was_read_may_change_unseen(
    modified: int, changed: int, expected: bool
) -> None:
    state = FileState(size=1, modified=modified, changed=changed, inode=1)
    assert state.is_settled(now=RACY_NS + 1) is expected


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be deleted there")
def test_a_store_that_is_deleted_in_mid_scan_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with FileStore(path, create=True) as store:
        path.unlink()
        store.add([(1, STATE, SHA)])
    with FileStore(path, create=True) as store:
        assert store.sha256(1, STATE) == SHA


def test_another_file_of_that_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"my notes, and nothing that SQLite would read" * 30)
    with pytest.raises(ScanFileError, match="remove this file"):
        FileStore(tmp_path / "f", create=True)
