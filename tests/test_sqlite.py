"""Banks and tables of features: what is no such file is left as it is, and told."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from recognizer._sqlite import Store
from recognizer.errors import BankError, ScanFileError
from recognizer.known import Bank


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()


class Notes(Store):
    APPLICATION_ID = 1
    KIND = "book of notes"
    TABLES = "CREATE TABLE IF NOT EXISTS notes (text)"
    ADVICE = "do this"
    ERROR = ScanFileError


@pytest.mark.parametrize("create", [True, False])
def test_a_file_of_another_kind_is_refused_and_left_as_it_is(
    tmp_path: Path, *, create: bool
) -> None:
    files = [b"\xff\xd8 photo", b'{"source": "a"}\n', b"notes of somebody" * 100]
    files += [b"no database", b"SQLite format 3\0" + bytes(84)]
    for number, content in enumerate(files):
        (tmp_path / f"file-{number}").write_bytes(content)
    execute(tmp_path / "database", "CREATE TABLE mine (x)")
    Notes(tmp_path / "notes", create=True).close()
    for path in [*tmp_path.iterdir()]:
        before = path.read_bytes()
        words = "" if path.name.startswith("file") else "bank of known items"
        with pytest.raises(BankError, match=rf"{path.name} .*{words}"):
            Bank(path, create=create)
        assert path.read_bytes() == before


@pytest.mark.parametrize("create", [True, False])
def test_a_file_of_another_version_is_refused(tmp_path: Path, *, create: bool) -> None:
    for _ in range(2):
        Bank(tmp_path / "it", create=True).close()
    execute(tmp_path / "it", "PRAGMA user_version = 99")
    with pytest.raises(BankError, match="version 99"):
        Bank(tmp_path / "it", create=create)


@pytest.mark.parametrize("create", [True, False])
def test_a_place_where_no_store_can_be_is_told(tmp_path: Path, *, create: bool) -> None:
    for place in ("missing/it", ".", *([] if create else ["none"])):
        with pytest.raises(BankError, match="recognizer bank add"):
            Bank(tmp_path / place, create=create)
    assert not [*tmp_path.iterdir()]


def test_no_store_is_made_for_reading(tmp_path: Path) -> None:
    with pytest.raises(ScanFileError, match=r"unable to open.*; do this"):
        Notes(tmp_path / "none", create=False)
    assert not [*tmp_path.iterdir()]
