"""Scripts in a transaction; a file of an earlier version is migrated, whole or not at all."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest

from recognizer._sqlite import FileKind, SqliteFile
from recognizer.errors import ScanFileError

SCHEMA = """
CREATE TABLE photo (name TEXT, size INTEGER);  -- two columns; one in version 1
CREATE INDEX photo_name ON photo (name);
CREATE TRIGGER photo_stays BEFORE DELETE ON photo BEGIN
  SELECT RAISE(ABORT, 'photos; stay');
END;
CREATE VIEW large AS SELECT name FROM photo WHERE size > 1
"""


def add_size(database: sqlite3.Connection) -> None:
    database.execute("ALTER TABLE photo ADD COLUMN size INTEGER")
    database.execute("UPDATE photo SET size = length(name)")


class Photos(SqliteFile):
    kind: ClassVar[FileKind] = FileKind(
        name="a file of photos",
        application_id=7,
        version=2,
        schema=lambda: SCHEMA,
        error=ScanFileError,
        advice="make another",
        steps={1: add_size},
    )


def make_version_1(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "CREATE TABLE photo (name TEXT); INSERT INTO photo VALUES ('a'), ('tusk');"
            "CREATE VIEW large AS SELECT 'old' AS name;"
            "PRAGMA application_id = 7; PRAGMA user_version = 1;"
        )
    return path


def state_of(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        schema = database.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name")
        return [*schema, *database.execute("PRAGMA user_version")]


@pytest.mark.parametrize("write", [True, False])
def test_a_file_of_an_earlier_version_is_migrated(tmp_path, *, write):
    path = make_version_1(tmp_path / "a")
    for _ in range(2):  # the second time nothing is left to do
        with Photos(path, write=write) as file:
            assert file.version == 2
            assert file.select("SELECT name, size FROM photo") == [("a", 1), ("tusk", 4)]
            assert file.select("SELECT name FROM large") == [("tusk",)]


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = make_version_1(tmp_path / "a")
    before = state_of(path)

    def fail(database: sqlite3.Connection) -> None:
        add_size(database)
        database.execute("CREATE TABLE photo (id)")

    with monkeypatch.context() as patch:
        patch.setitem(Photos.kind.steps, 1, fail)
        with pytest.raises(ScanFileError, match="already exists"):
            Photos(path)
    assert state_of(path) == before
    Photos(path).close()
    assert state_of(path)[-1] == (2,)


def test_nothing_is_half_made(tmp_path, monkeypatch):
    path = tmp_path / "a"
    with monkeypatch.context() as patch:
        patch.setattr("tests.test_sqlite.SCHEMA", SCHEMA + ";\nCREATE TABLE photo (id)")
        with pytest.raises(ScanFileError, match="already exists"):
            Photos(path, create=True)
    assert state_of(path) == [(0,)]
    with Photos(path, create=True) as file:
        with file.transaction() as database:
            database.execute("INSERT INTO photo VALUES ('a', 1)")
        with pytest.raises(ScanFileError, match="photos; stay"), file.transaction() as database:
            database.execute("DELETE FROM photo")


@pytest.mark.parametrize(
    ("version", "words"), [(0, "version 0, .* 2: make another"), (3, "update this program")]
)
def test_other_versions_are_refused(tmp_path, version, words):
    path = make_version_1(tmp_path / "a")
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    with pytest.raises(ScanFileError, match=words):
        Photos(path, write=True)
    assert path.read_bytes() == before


def test_a_file_is_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    Photos(path := tmp_path / "a", create=True).close()
    before = path.read_bytes()
    connect, uris = sqlite3.connect, list[str]()

    def read_only(name: str, **options: Any) -> sqlite3.Connection:
        """Refuse what a read-only disk refuses, also to the superuser."""
        uris.append(name)
        if not name.endswith("immutable=1"):
            raise sqlite3.OperationalError("unable to open database file")
        database: sqlite3.Connection = connect(name, **options)
        return database

    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)
        patch.setattr(sqlite3, "connect", read_only)
        with Photos(path) as file:
            assert file.select("SELECT * FROM large") == []
    assert {uri.partition("?")[2] for uri in uris} == {"mode=ro", "mode=ro&immutable=1"}
    assert path.read_bytes() == before
