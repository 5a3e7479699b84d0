"""The queries of docs/rows.md, as other programs run them on the file of a scan."""

import importlib.util
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from recognizer.policy.values import CandidateKind
from recognizer.rows import ScanFile, write_rows
from tests.rows.rows import HASH, bare_row, lead, write_scan

PAGE = Path(__file__).parents[2] / "docs" / "rows.md"
BLOCKS = re.findall(
    r"<!-- run by: tests/rows/test_queries.py -->\n```(\w+)\n(.*?)```",
    PAGE.read_text(encoding="utf-8"),
    re.DOTALL,
)
QUERIES = [line for kind, text in BLOCKS if kind == "sql" for line in text.split(";\n") if line]


@pytest.fixture
def scan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    levels = ["priority", "review", "review", "unscored", "clear"]
    rows = [
        bare_row(
            f"{n}.jpg",
            0.9 - n / 10,
            level,
            item={"id": n // 2, "seller": "ann", "title": "象牙"},
            phash=None if level == "unscored" else HASH,
            leads=(lead(), lead("ivory", kind=CandidateKind.FAMILY)) if n < 3 else (),
        )
        for n, level in enumerate(levels)
    ]
    path = write_scan(tmp_path / "scan.sqlite", rows)
    with ScanFile(path) as file:
        write_rows(file, tmp_path / "rows.jsonl")
    return path


def test_sql(scan):
    shutil.copy(scan, "before.sqlite")
    with sqlite3.connect(f"file:{scan}?mode=ro", uri=True) as database:
        for query in QUERIES:
            assert database.execute(query).fetchall() or query.startswith("ATTACH")
    database.close()


@pytest.mark.parametrize("block", [text for kind, text in BLOCKS if kind == "python"])
def test_python(scan, block):
    for module in re.findall(r"^import (\w+)$", block, re.MULTILINE):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    if "duckdb" in block:  # which would download it
        pytest.importorskip("duckdb_extensions").import_extension("sqlite_scanner")
    names = {}
    exec(compile(block, str(PAGE), "exec"), names)
    for value in names.values():
        if type(value).__name__ == "DataFrame":
            assert len(value)
        if isinstance(value, sqlite3.Connection):
            value.close()
    if "by_seller" in names:  # images, of which each is a lead of a label and of its family
        assert names["by_seller"].to_dict("list") == {"seller": ["ann"], "leads": [3]}
