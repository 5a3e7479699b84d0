"""The code of docs/scan.md for Ray, makes the rows of a scan."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from recognizer.model.bundle import load_bundle
from recognizer.policy.values import Policy
from recognizer.rows import Ranking, ScanFile, merge
from recognizer.scan import Item, Scorer
from tests.conftest import encoded, picture
from tests.docs.blocks import ROOT, blocks
from tests.rows.rows import NOW

pandas = pytest.importorskip("pandas")
pytest.importorskip("ray", reason="needs the extra ray")

(CODE,) = [one.text for one in blocks(ROOT / "docs" / "scan.md") if one.language == "python"]


@pytest.fixture
def photos(tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(encoded(picture("red", seed=number)))
    (tmp_path / "4.jpg").write_bytes(b"no picture")
    return [str(tmp_path / f"{number}.jpg") for number in range(6)]


def check(photos):
    """The rows of the engine, merged into a scan's file, are those of a scorer."""
    output = Path("scan.sqlite")
    merge([*Path("rows").glob("*.parquet")], output, Ranking([load_bundle()]))
    with ScanFile(output) as file, Scorer(load_bundle(), Policy()) as scorer:
        found = {row.source: replace(row, time=NOW) for row in file.rows()}
        expected = [replace(row, time=NOW) for row in scorer.score(map(Item.at, photos))]
    assert found == {row.source: row for row in expected}
    assert [row.status for row in expected] == ["ok"] * 4 + ["failed"] * 2


def test_ray(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    pandas.DataFrame({"uri": photos}).to_parquet("listings.parquet")
    exec(CODE.replace("200", "2"), {"__name__": "page"})
    check(photos)
