from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyarrow import parquet, table

from recognizer.cli import ExitCode
from recognizer.engine import Recognizer
from recognizer.errors import ScanFileError, UsageError
from recognizer.prediction import Region
from recognizer.rows import ROW_SCHEMA, Journal, Row, write_table
from recognizer.rows.row import ROW_FIELDS
from tests.conftest import encoded, invoke, picture
from tests.rows.rows import row_of

UNDECODABLE = "\udcff.jpg"


@pytest.fixture
def rows(recognizer: Recognizer) -> list[Row]:
    region = Region(label="ivory_worked", score=0.5, box=(0, 1, 2, 3), frame=0)
    red = encoded(picture("red"))
    lead = row_of(recognizer, "red, \n象牙.jpg", red, regions=(region,), item={"id": 7})
    return [lead, row_of(recognizer, UNDECODABLE, b"")]


@pytest.fixture
def journal(tmp_path: Path, rows: list[Row]) -> Path:
    with Journal(tmp_path / "scan.jsonl") as journal:
        journal.append([replace(rows[0], detail="an earlier scan")])
        journal.append(rows)
    return tmp_path / "scan.jsonl"


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def _is_read_only(*_: object, **__: object) -> None:
    raise OSError(30, "Read-only file system")


def test_parquet(journal: Path, rows: list[Row], tmp_path: Path) -> None:
    assert write_table(journal, tmp_path / "rows.parquet") == 2
    table = parquet.read_table(tmp_path / "rows.parquet")
    assert table.column_names == [*ROW_FIELDS]
    assert table.schema.metadata[b"recognizer.row_schema"] == str(ROW_SCHEMA).encode()
    lead, failed = table.to_pylist()
    assert (lead["source"], failed["source"]) == (rows[0].source, "\\udcff.jpg")
    assert dict(lead["scores"]) == rows[0].scores
    assert lead["time"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert json.loads(lead["item"]) == {"id": 7}
    same = ("leads", "why", "regions", "model", "policy", "width", "detail", "decision", "schema")
    for key in same:
        assert lead[key] == json.loads(rows[0].to_json_line())[key], key
    assert (failed["decision"], failed["scores"], failed["reason"]) == ("unscored", None, "empty")


def test_csv(journal: Path, rows: list[Row], tmp_path: Path) -> None:
    assert write_table(journal, tmp_path / "rows.csv") == 2
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        lead, failed = csv.DictReader(file)
    assert (*lead,) == (*ROW_FIELDS,)
    assert (lead["source"], failed["source"]) == (rows[0].source, "\\udcff.jpg")
    assert json.loads(lead["scores"]) == rows[0].scores
    assert lead["decision"] == "priority"
    assert (failed["decision"], failed["reason"]) == ("unscored", "empty")


def test_a_table_that_cannot_be_made_leaves_what_was_there(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "rows.csv"
    (tmp_path / "others").mkdir()
    write_table(journal, target)
    before = target.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _full)
        with pytest.raises(UsageError, match="No space left"):
            write_table(journal, target)
        # Nor can what was written be removed: the first error is reported.
        patch.setattr(Path, "unlink", _is_read_only)
        with pytest.raises(UsageError, match="No space left"):
            write_table(journal, tmp_path / "others" / "rows.csv")
    with journal.open("ab") as file:
        file.write(b"no row\n")
    with pytest.raises(ScanFileError, match="line 4"):
        write_table(journal, target)
    assert target.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["others", "rows.csv", "scan.jsonl", "scan.jsonl.chain"]


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


def test_the_verb(journal: Path, tmp_path: Path) -> None:
    result = invoke("rows", journal, "-o", tmp_path / "rows.parquet")
    assert result.exit_code == ExitCode.DONE
    assert result.stdout == f"Wrote {tmp_path}/rows.parquet: 2 rows\n"
    assert "ends in .csv or .parquet" in invoke("rows", journal, "-o", "rows.xlsx").stderr
    assert invoke("rows", tmp_path / "gone", "-o", "r.csv").exit_code == ExitCode.USAGE
    no_journal = invoke("rows", __file__, "-o", tmp_path / "r.csv")
    assert "not the journal of a scan" in no_journal.stderr
