"""Rows and listings as JSON Lines and CSV, which replace nothing but an earlier export."""

import csv
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from recognizer.engine import Recognizer
from recognizer.errors import ScanFileError, UsageError
from recognizer.policy.keywords import KeywordHit
from recognizer.policy.values import Decision, Policy
from recognizer.prediction import Region
from recognizer.rows import Row, ScanFile, write_listings, write_rows
from recognizer.rows.row import Reference
from recognizer.status import Reason
from tests.conftest import ROW_VALIDATOR, encoded, invoke, picture, refuse, succeed
from tests.rows.rows import ROW_FIELDS, bare_row, execute, row_of, write_scan

HOSTILE = "<script>alert('x')</script>\u202e\n\x00=cmd|' /C calc'!A0"
SUFFIXES = [".jsonl", ".csv"]


@pytest.fixture
def rows(recognizer: Recognizer) -> list[Row]:
    region = Region(label="ivory_worked", score=0.5, box=(0, 1, 2, 3), frame=0)
    red = encoded(picture("red"))
    item = {"id": 7, "title": HOSTILE, "large": 2**70, "reports": 2, "note": "\udcff"}
    hits = (KeywordHit(keyword="象牙", column="title"),)
    named = row_of(recognizer, "red, \n象牙.jpg", red, regions=(region,), item=item, keywords=hits)
    return [named, row_of(recognizer, "\udcff.jpg", b"")]


@pytest.fixture
def scan(tmp_path: Path, rows: list[Row]) -> Path:
    without = bare_row("t!/2", 0, "unscored", item={"id": 2}, reason=Reason.NO_IMAGE)
    return write_scan(tmp_path / "scan.sqlite", [*rows, without])


def export(scan: Path, output: Path, **options: Any) -> Path:
    with ScanFile(scan) as file:
        assert write_rows(file, output, **options) == 3
    return output


def listings(scan: Path, output: Path, **options: Any) -> Path:
    with ScanFile(scan) as file:
        write_listings(file, output, **options)
    return output


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [*map(json.loads, path.read_text("ascii").splitlines())]
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_in_each_format(scan, rows, tmp_path, suffix):
    lead, failed, _ = read(export(scan, tmp_path / f"rows{suffix}"))
    assert [*lead] == ROW_FIELDS
    assert (lead["source"], lead["decision"]) == (rows[0].source, "priority")
    assert (failed["decision"], failed["reason"]) == ("unscored", "empty")
    assert not failed["scores"]
    if suffix == ".jsonl":
        assert [Row.from_json(one) for one in (lead, failed)] == rows
        ROW_VALIDATOR.validate(lead)
        return
    assert failed["source"] == "\\udcff.jpg"
    expected = json.loads(rows[0].to_json_line())
    for key in ("item", "scores", "leads", "why", "regions", "model", "policy"):
        assert json.loads(lead[key]) == expected[key], key
    assert (lead["time"], lead["detail"]) == (expected["time"], "")
    assert lead["width"] == str(expected["width"])


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
def test_a_formula_is_a_text(tmp_path, sign):
    text = f"{sign}cmd|' /C calc'!A0"
    row = bare_row(f"{sign}a", 0.9, "review", item={"id": 1, "title": text})
    scan = write_scan(tmp_path / "scan.sqlite", [row])
    with ScanFile(scan) as file:
        write_listings(file, tmp_path / "l.csv")
    (found,) = read(tmp_path / "l.csv")
    assert (found["title"], found["score"]) == (f"'{text}", "0.9")


def test_the_columns_of_listings_are_flat(scan, tmp_path):
    first, failed, second = read(listings(scan, tmp_path / "l.csv"))
    assert first["title"] == HOSTILE
    assert json.loads(first["keywords"]) == ["象牙"]
    assert json.loads(failed["sources"]) == ["\udcff.jpg"]
    assert json.loads(first["products"]) == ["ivory", "ivory_worked"]
    assert (first["product"], first["reports"]) == ("ivory", "2")
    assert (second["images"], second["best"], second["product"]) == ("0", "", "")
    assert [name for name, cell in first.items() if cell.startswith("{")] == ["item"]


def test_the_action_is_that_of_the_policy_that_decided(tmp_path):
    policy = Policy(name="mine", actions={Decision.REVIEW: "Hold back."})
    reference = Reference(name=policy.name, digest=policy.digest)
    rows = [bare_row("a", 0.9, "review"), bare_row("b", 0, "clear")]
    scan = write_scan(tmp_path / "a", [replace(row, policy=reference) for row in rows])
    with ScanFile(scan, write=True) as file:
        file.use_policy(policy)
    output = listings(scan, tmp_path / "l.jsonl")
    found = [json.loads(line)["action"] for line in output.read_bytes().splitlines()]
    assert found == ["Hold back.", None]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("write", [export, listings])
def test_only_an_earlier_export_is_overwritten(scan, tmp_path, write, suffix):
    target = tmp_path / f"x{suffix}"
    target.touch()
    before = [write(scan, target).read_bytes() for _ in range(2)][1]
    other = {export: listings, listings: export}[write](scan, tmp_path / f"y{suffix}")
    theirs = [*(b"id,title,image\n7,tusk,a.jpg\n", b"PAR1", scan.read_bytes(), other.read_bytes())]
    for content in theirs:
        target.write_bytes(content)
        with pytest.raises(UsageError, match="will not be overwritten"):
            write(scan, target)
        assert target.read_bytes() == content
    for place in (tmp_path, tmp_path / f"nowhere/l{suffix}", tmp_path / "l.txt"):
        with pytest.raises(UsageError):
            write(scan, place)
    assert before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_export_that_cannot_be_made_leaves_what_was_there(scan, tmp_path, monkeypatch, suffix):
    target = tmp_path / f"rows{suffix}"
    before = export(scan, target).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", Mock(side_effect=OSError(28, "No space left on device")))
        with pytest.raises(UsageError, match="No space left"):
            export(scan, target)
    execute(scan, "UPDATE image SET leads = '[{]' WHERE id = 2")
    with pytest.raises(ScanFileError, match="is damaged"):
        export(scan, target)
    assert target.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == [target.name, "scan.sqlite"]


def test_the_command(scan, tmp_path):
    result = succeed("rows", scan, "-o", tmp_path / "rows.jsonl")
    assert result.stdout == f"Wrote {tmp_path}/rows.jsonl: 3 rows\n"
    result = invoke("rows", scan, "-o", tmp_path / "l.csv", "--listings")
    assert result.stdout == f"Wrote {tmp_path}/l.csv: 3 listings\n"
    for name in ("rows.xlsx", "rows.parquet"):
        assert "ends in .jsonl or .csv" in invoke("rows", scan, "-o", name).stderr
    refuse("rows", tmp_path / "gone", "-o", "r.csv")
