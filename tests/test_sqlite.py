from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from recognizer._sqlite import Store
from recognizer.errors import BankError, JournalError, RecognizerError
from recognizer.known import Bank
from recognizer.rows.embeddings import EmbeddingStore
from recognizer.rows.thumbnails import ThumbnailStore

STORES: dict[str, tuple[Callable[[Path], object], type[RecognizerError]]] = {
    "thumbnails": (lambda path: ThumbnailStore(path, create=True), JournalError),
    "embeddings": (lambda path: EmbeddingStore(path, "a" * 64), JournalError),
    "bank": (lambda path: Bank(path, create=True), BankError),
}


@pytest.mark.parametrize("kind", STORES)
def test_a_file_of_another_kind_is_refused_and_left_as_it_is(tmp_path: Path, kind: str) -> None:
    opened, error = STORES[kind]
    database = sqlite3.connect(tmp_path / "database")
    database.execute("CREATE TABLE mine (x)")
    database.commit()
    database.close()
    (tmp_path / "photo").write_bytes(b"\xff\xd8 photo")
    for other, (make, _) in STORES.items():
        if other != kind:
            make(tmp_path / other).close()  # type: ignore[attr-defined]
    for path in [*tmp_path.iterdir()]:
        before = path.read_bytes()
        with pytest.raises(error, match=path.name):
            opened(path)
        assert path.read_bytes() == before


@pytest.mark.parametrize("kind", STORES)
def test_a_file_of_another_version_is_refused(tmp_path: Path, kind: str) -> None:
    opened, error = STORES[kind]
    opened(tmp_path / "it").close()  # type: ignore[attr-defined]
    opened(tmp_path / "it").close()  # type: ignore[attr-defined]
    database = sqlite3.connect(tmp_path / "it")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(error, match="version 99"):
        opened(tmp_path / "it")


def test_no_store_is_made_for_reading(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"unable to open.*; do this"):
        Notes(tmp_path / "none", create=False)
    assert not [*tmp_path.iterdir()]


class Notes(Store):
    APPLICATION_ID = 1
    KIND = "book of notes"
    TABLES = "CREATE TABLE IF NOT EXISTS notes (text)"
    ADVICE = "do this"
