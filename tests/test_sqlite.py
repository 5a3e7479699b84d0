from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from recognizer._sqlite import Store
from recognizer.errors import BankError, RecognizerError, ScanFileError
from recognizer.known import Bank


class Notes(Store):
    APPLICATION_ID = 7
    KIND = "book of notes"
    TABLES = "CREATE TABLE IF NOT EXISTS notes (text)"
    ADVICE = "do this"


WAYS: dict[str, tuple[Callable[[Path], Store], type[RecognizerError], str]] = {
    "notes": (lambda path: Notes(path, create=True), ScanFileError, "book of notes"),
    "notes, to read": (lambda path: Notes(path, create=False), ScanFileError, "book of notes"),
    "bank": (lambda path: Bank(path, create=True), BankError, "bank of known items"),
    "bank, to read": (Bank, BankError, "bank of known items"),
}
"""A way to open a store -> the function, its error, and what is said of another database."""
MADE = ("notes", "bank")


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()


@pytest.mark.parametrize("way", WAYS)
def test_a_file_of_another_kind_is_refused_and_left_as_it_is(tmp_path: Path, way: str) -> None:
    opened, error, words = WAYS[way]
    files = [b"\xff\xd8 photo", b'{"source": "a"}\n', b"notes of somebody" * 100]
    files += [b"no database", b"SQLite format 3\0" + bytes(84)]
    for number, content in enumerate(files):
        (tmp_path / f"file-{number}").write_bytes(content)
    execute(tmp_path / "database", "CREATE TABLE mine (x)")
    for other in MADE:
        WAYS[other][0](tmp_path / other).close()
    execute(tmp_path / way.split(",", maxsplit=1)[0], "PRAGMA application_id = 1")
    for path in [*tmp_path.iterdir()]:
        before = path.read_bytes()
        is_database = not path.name.startswith("file")
        with pytest.raises(error, match=rf"{path.name} .*{words if is_database else ''}"):
            opened(path)
        assert path.read_bytes() == before


@pytest.mark.parametrize("way", WAYS)
def test_a_file_of_another_version_is_refused(tmp_path: Path, way: str) -> None:
    opened, error, _ = WAYS[way]
    for _ in range(2):
        WAYS[way.split(",", maxsplit=1)[0]][0](tmp_path / "it").close()
    execute(tmp_path / "it", "PRAGMA user_version = 99")
    with pytest.raises(error, match="version 99"):
        opened(tmp_path / "it")


@pytest.mark.parametrize("way", WAYS)
def test_a_place_where_no_store_can_be_is_told(tmp_path: Path, way: str) -> None:
    opened, error, _ = WAYS[way]
    words = "recognizer bank add" if way.startswith("bank") else "do this"
    for place in ("missing/it", ".", *(["none"] if way.endswith("to read") else [])):
        with pytest.raises(error, match=words):
            opened(tmp_path / place)
    assert not [*tmp_path.iterdir()]


def test_no_store_is_made_for_reading(tmp_path: Path) -> None:
    with pytest.raises(ScanFileError, match=r"unable to open.*; do this"):
        Notes(tmp_path / "none", create=False)
    assert not [*tmp_path.iterdir()]
