from __future__ import annotations

import csv
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyarrow import parquet, table

from recognizer.cli import ExitCode
from recognizer.errors import JournalError, UsageError
from recognizer.prediction import Prediction
from recognizer.recognizer import Recognizer
from recognizer.rows import ROW_KEYS, ROW_SCHEMA, Journal, Row, write_table
from recognizer.rows.schema import ROW_PROPERTIES
from recognizer.status import Reason, Status
from tests.cli.test_scan import invoke
from tests.conftest import encoded, picture
from tests.rows.test_journal import make_row

UNDECODABLE = "\udcff.jpg"


@pytest.fixture
def rows(tiny_bundle: Path, recognizer: Recognizer) -> list[Row]:
    lead = make_row(tiny_bundle, "red, \n象牙.jpg", recognizer.predict(encoded(picture("red"))))
    lead["regions"] = [{"label": "ivory_worked", "score": 0.5, "box": [0, 1, 2, 3], "frame": 0}]
    failed = Prediction(status=Status.FAILED, reason=Reason.EMPTY, detail="zero bytes")
    return [lead, make_row(tiny_bundle, UNDECODABLE, failed)]


@pytest.fixture
def journal(tmp_path: Path, rows: list[Row]) -> Path:
    with Journal(tmp_path / "scan.jsonl") as journal:
        journal.append([{**rows[0], "detail": "an earlier scan"}])
        journal.append(rows)
    return tmp_path / "scan.jsonl"


def test_parquet(journal: Path, rows: list[Row], tmp_path: Path) -> None:
    assert write_table(journal, tmp_path / "rows.parquet") == 2
    table = parquet.read_table(tmp_path / "rows.parquet")
    assert table.column_names == [*ROW_KEYS]
    assert table.schema.metadata[b"recognizer.row_schema"] == str(ROW_SCHEMA).encode()
    lead, failed = table.to_pylist()
    assert (lead["source"], failed["source"]) == (rows[0]["source"], "\\udcff.jpg")
    assert dict(lead["scores"]) == rows[0]["scores"]
    assert lead["time"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert json.loads(lead["item"]) == {"id": 7}
    same = ("labels", "why", "regions", "model", "policy", "width", "detail", "decision", "schema")
    for key in same:
        assert lead[key] == rows[0][key], key
    assert (failed["decision"], failed["scores"], failed["reason"]) == (None, None, "empty")


def test_csv(journal: Path, rows: list[Row], tmp_path: Path) -> None:
    assert write_table(journal, tmp_path / "rows.csv") == 2
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        lead, failed = csv.DictReader(file)
    assert (*lead,) == ROW_KEYS
    assert (lead["source"], failed["source"]) == (rows[0]["source"], "\\udcff.jpg")
    assert json.loads(lead["scores"]) == rows[0]["scores"]
    assert (lead["decision"], failed["decision"], failed["reason"]) == ("priority", "", "empty")


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_rows_of_earlier_versions_lack_what_they_lack(
    tmp_path: Path, rows: list[Row], name: str
) -> None:
    old = {key: value for key, value in rows[0].items() if key not in {"schema", "phash"}}
    (tmp_path / "old.jsonl").write_text(json.dumps(old) + "\n")
    assert write_table(tmp_path / "old.jsonl", tmp_path / name) == 1


def test_a_table_that_cannot_be_made_leaves_what_was_there(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "rows.csv"
    write_table(journal, target)
    before = target.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _full)
        with pytest.raises(UsageError, match="No space left"):
            write_table(journal, target)
    with journal.open("ab") as file:
        file.write(b"no row\n")
    with pytest.raises(JournalError, match="line 4"):
        write_table(journal, target)
    assert target.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["rows.csv", "scan.jsonl"]


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_only_an_earlier_table_is_overwritten(journal: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    target.touch()
    assert [write_table(journal, target), write_table(journal, target)] == [2, 2]
    parquet.write_table(table({"id": [1]}), tmp_path / "listings.parquet")
    others = (b"id,title,image\n7,tusk,a.jpg\n", (tmp_path / "listings.parquet").read_bytes())
    for other in (*others, journal.read_bytes()):
        target.write_bytes(other)
        with pytest.raises(UsageError, match="will not be overwritten"):
            write_table(journal, target)
        assert target.read_bytes() == other


def test_where_nothing_can_be_removed_either_the_first_error_is_told(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "fsync", _full)
    monkeypatch.setattr(Path, "unlink", is_read_only)
    with pytest.raises(UsageError, match="No space left"):
        write_table(journal, tmp_path / "rows.csv")


def _full(_: int) -> None:
    raise OSError(28, "No space left on device")


def test_the_verb(journal: Path, tmp_path: Path) -> None:
    result = invoke("rows", journal, "--to", tmp_path / "rows.parquet")
    assert (result.exit_code, result.stdout) == (
        ExitCode.DONE,
        f"written: {tmp_path}/rows.parquet, 2 rows\n",
    )
    assert "ends in .csv or .parquet" in invoke("rows", journal, "--to", "rows.xlsx").stderr
    assert invoke("rows", tmp_path / "gone", "--to", "r.csv").exit_code == ExitCode.USAGE
    no_journal = invoke("rows", __file__, "--to", tmp_path / "r.csv")
    assert "no journal of a scan" in no_journal.stderr


def test_every_key_is_documented() -> None:
    page = Path(__file__).parents[2].joinpath("docs", "rows.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    assert lines[: len(ROW_PROPERTIES)] == [
        f"| `{key}` | {properties['description']} |" for key, properties in ROW_PROPERTIES.items()
    ]
