"""Files of every released version open with all that is in them; readers change nothing."""

import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from recognizer.desk.outcomes import Outcome, Outcomes
from recognizer.errors import ScanFileError
from recognizer.known.bank import Bank
from recognizer.model.bundle import load_bundle
from recognizer.policy.values import Policy
from recognizer.rows import Ranking, ScanFile, ScanWriter, read_listings
from recognizer.scan.options import WorkerPayload
from tests.conftest import invoke, succeed

FILES = Path(__file__).parent / "rows" / "files"
SAID = [json.loads(line) for line in (FILES / "outcomes-0.3.jsonl").read_bytes().splitlines()]
ROWS = [  # with what has become of their schema since
    json.loads(line) | {"schema": 7, "seen": None, "gone": None}
    for line in (FILES / "rows-0.3.jsonl").read_bytes().splitlines()
]
for region in (one for row in ROWS for one in row["regions"] or ()):
    region |= {"part": None, "rendering": 0}
WITH_OUTCOMES = ["scan-0.3.sqlite", "team-0.3.sqlite", "outcomes-0.2.sqlite"]


def copy(name: str, folder: Path) -> Path:
    return Path(shutil.copy(FILES / name, folder / name))


def schema_of(path: Path) -> list[tuple[str, ...]]:
    database = sqlite3.connect(path)
    names = database.execute(
        "SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY 1, 2"
    ).fetchall()
    columns = [
        (table, *column)
        for kind, table in names
        if kind in {"table", "view"}
        for column in database.execute(f"SELECT name, type, pk FROM pragma_table_xinfo('{table}')")
    ]
    views = database.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'view' ORDER BY 1")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    found = [*names, *columns, *views, (version,)]
    database.close()
    return found


def exported(path: Path, *verb: str) -> list[dict[str, object]]:
    output = path.with_suffix(f".{verb[0]}.jsonl")
    succeed(*verb, path, *(["--output"] if verb[0] == "rows" else []), output)
    return [json.loads(line) for line in output.read_bytes().splitlines()]


@pytest.mark.parametrize("name", ["scan-0.3.sqlite", "team-0.3.sqlite"])
def test_a_writer_migrates_a_file_to_what_a_new_one_is(tmp_path: Path, name: str) -> None:
    path = copy(name, tmp_path)
    with ScanFile(path, write=True) as file:
        queue = file.select("SELECT name, state FROM queue")
    with ScanFile(tmp_path / "new.sqlite", create=True):
        pass
    assert schema_of(path) == schema_of(tmp_path / "new.sqlite")
    assert exported(path, "outcomes", "export") == SAID
    with ScanFile(path, write=True):  # nothing is left to do
        pass
    if name.startswith("scan"):
        assert queue == [("L1", "confirmed"), ("L2", "open"), ("L6", "open")]
        assert exported(path, "rows") == ROWS


@pytest.mark.parametrize("name", WITH_OUTCOMES)
def test_outcomes_of_every_version_are_exported(tmp_path: Path, name: str) -> None:
    path = copy(name, tmp_path)
    before = path.read_bytes()
    with Outcomes(path) as found:
        said = [*found]
        assert len(found.decided()) == len({one.sha256 for one in said if one.sha256})
        ids = [id_ for (id_,) in found.file.select("SELECT id FROM outcome ORDER BY number")]
    assert [one.id for one in said] == ids
    withdrawn = {one.withdraws for one in said if one.withdraws}
    assert len(withdrawn) == 1
    assert withdrawn < {*ids}
    if name.startswith("outcomes"):  # 0.2 knew no outcome without an origin
        said = [Outcome.from_json(one.to_json() | {"origin": None}) for one in said]
    key = [(one["time"][:18], one["judgement"], one["sha256"], one["note"]) for one in SAID]
    assert [(one.time.isoformat()[:18], one.judgement, one.sha256, one.note) for one in said] == key
    assert len(exported(path, "outcomes", "export")) == len(SAID)
    scan, page = copy("scan-0.3.sqlite", tmp_path), tmp_path / "report.html"
    measured = succeed("measure", scan, "--json").stdout
    assert succeed("measure", scan, "--json", "--outcomes", path).stdout == measured
    succeed("report", scan, "--outcomes", path, "--output", page)
    assert "state-confirmed" in page.read_text()
    assert path.read_bytes() == before
    bank = invoke("report", scan, "--outcomes", FILES / "bank-0.3.sqlite", "--output", page)
    assert "is not the file of a scan or of outcomes but a bank" in bank.stderr


def test_a_file_of_0_3_is_read_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy("scan-0.3.sqlite", tmp_path)
    before = path.read_bytes()
    connect, uris = sqlite3.connect, list[str]()

    def read_only(name: str, **options: Any) -> sqlite3.Connection:
        """Refuse what a read-only disk refuses, also to the superuser."""
        uris.append(name)
        if not name.endswith("immutable=1"):
            raise sqlite3.OperationalError("unable to open database file")
        database: sqlite3.Connection = connect(name, **options)
        return database

    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(sqlite3, "connect", read_only)
    with ScanFile(path) as file:
        assert len(file.select("SELECT * FROM queue")) == 3
        assert [json.loads(row.to_json_line()) for row in file.rows()] == ROWS
        assert len([*read_listings(file)]) == 6
    with Outcomes(path) as found:
        assert len([*found]) == len(SAID)
    assert {uri.partition("?")[2] for uri in uris} == {"mode=ro", "mode=ro&immutable=1"}
    assert path.read_bytes() == before


def test_a_report_changes_nothing_in_a_file_of_0_3(tmp_path: Path) -> None:
    path = copy("scan-0.3.sqlite", tmp_path)
    before = path.read_bytes()
    succeed("report", path, "--output", tmp_path / "report.html")
    assert "L6" in (tmp_path / "report.html").read_text()
    assert path.read_bytes() == before


def test_images_of_0_3_are_scored_again_since_more_is_looked_at(tmp_path: Path) -> None:
    bundle = load_bundle()
    payload = WorkerPayload(bundle=bundle, policy=Policy.load(FILES / "own-0.3.toml"))
    with ScanWriter(copy("scan-0.3.sqlite", tmp_path), Ranking()) as file:
        (key,) = file.select("SELECT key FROM image WHERE source = 'photos/mug.jpg'")[0]
        with file.transaction() as database:  # as if this bundle had made it
            database.execute("UPDATE model SET digest = ?", (bundle.digest,))
        earlier = file.previous(key)
        assert earlier is not None
        assert not payload.is_up_to_date(earlier.result, str(earlier.sha256))
        with file.transaction() as database:
            database.execute("UPDATE image SET preprocessing = ?", (bundle.preprocessing,))
        now = file.previous(key)
        assert now is not None  # with the same digests of model and policy
        assert payload.is_up_to_date(now.result, str(now.sha256))


def test_a_store_of_0_2_is_not_written_to(tmp_path: Path) -> None:
    path = copy("outcomes-0.2.sqlite", tmp_path)
    for use in (lambda: Outcomes(path, write=True), lambda: ScanWriter(path, Ranking())):
        with pytest.raises(ScanFileError, match=r"version 0\.2, which `recognizer outcomes"):
            use()


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy("scan-0.3.sqlite", tmp_path)
    before = schema_of(path)
    with monkeypatch.context() as patch:
        step = f"{ScanFile.kind.steps[1]};\nCREATE TABLE image (id)"
        patch.setitem(ScanFile.kind.steps, 1, step)
        with pytest.raises(ScanFileError, match="already exists"):
            ScanFile(path, write=True)
    assert schema_of(path) == before
    with ScanFile(path, write=True) as file:
        assert len(file) == len(ROWS)


def test_a_bank_of_0_3_keeps_its_items(tmp_path: Path) -> None:
    path = copy("bank-0.3.sqlite", tmp_path)
    with Bank(path, create=True) as bank:
        items = [*bank]
        assert len(items) == 5
        assert {item.id for item in items} == {i for (i,) in bank.select("SELECT id FROM items")}
        digest = bank.digest
    succeed("bank", "import", path, FILES / "bank-0.3.sqlite", FILES / "bank-0.3.csv")
    with Bank(path) as bank:  # an item without an origin gets the name of its exchange file
        assert [item for item in bank if item.origin != "bank-0.3.csv"] == items
    assert digest == "56b75e68518eaf09bfbab631b5378c5fb0697a153f1f0a38f8cbfd0908bbf215"
