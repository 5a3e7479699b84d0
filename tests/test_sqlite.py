"""Scripts in a transaction, whole or not at all; files of other versions, and read-only disks."""

import os
import sqlite3
from contextlib import closing
from typing import ClassVar

import pytest

from recognizer._sqlite import FileKind, SqliteFile
from recognizer.errors import ScanFileError

SCHEMA = """
CREATE TABLE photo (name TEXT, size INTEGER);
CREATE INDEX photo_name ON photo (name);
CREATE TRIGGER photo_stays BEFORE DELETE ON photo BEGIN
  SELECT RAISE(ABORT, 'photos; stay');
END;
CREATE VIEW large AS SELECT name FROM photo WHERE size > 1
"""


def add_sizes(database):
    database.execute("CREATE TABLE seller (name TEXT)")
    database.execute("ALTER TABLE photo ADD COLUMN size INTEGER")


class Photos(SqliteFile):
    kind: ClassVar[FileKind] = FileKind(
        name="a file of photos",
        application_id=7,
        version=2,
        schema=lambda: SCHEMA,
        error=ScanFileError,
        advice="make another",
        steps=(add_sizes,),
    )


def state_of(path):
    with closing(sqlite3.connect(path)) as database:
        schema = database.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name")
        return [*schema, *database.execute("PRAGMA user_version")]


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
    ("version", "words"),
    [(0, "version 0, .* 2: make another"), (3, "update this program"), (1, "duplicate column")],
)
def test_other_versions_are_refused_and_a_step_that_fails_changes_nothing(tmp_path, version, words):
    Photos(path := tmp_path / "a", create=True).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    with pytest.raises(ScanFileError, match=words):
        Photos(path, write=True)
    assert path.read_bytes() == before


def test_an_older_file_is_migrated_when_it_is_written(tmp_path):
    with closing(sqlite3.connect(path := tmp_path / "a")) as database:
        database.executescript(
            "CREATE TABLE photo (name TEXT); INSERT INTO photo VALUES ('a');"
            "PRAGMA application_id = 7; PRAGMA user_version = 1"
        )
    with pytest.raises(ScanFileError, match="a command that writes to it migrates it"):
        Photos(path)
    with Photos(path, write=True) as file:
        assert file.select("SELECT name, size FROM photo") == [("a", None)]
    assert state_of(path)[-1] == (2,)


def test_a_file_is_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    Photos(path := tmp_path / "a", create=True).close()
    before = path.read_bytes()
    connect, uris = sqlite3.connect, list[str]()

    def read_only(name, **options):
        """Refuse what a read-only disk refuses, also to the superuser."""
        uris.append(name)
        if not name.endswith("immutable=1"):
            raise sqlite3.OperationalError("unable to open database file")
        return connect(name, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)
        patch.setattr(sqlite3, "connect", read_only)
        with Photos(path) as file:
            assert file.select("SELECT * FROM large") == []
    assert {uri.partition("?")[2] for uri in uris} == {"mode=ro", "mode=ro&immutable=1"}
    assert path.read_bytes() == before
