"""The commands of docs/practice.md, on the tables that it shows."""

import json
import shutil
from pathlib import Path

import pytest

from recognizer.policy import Policy
from tests.docs.blocks import ROOT, blocks
from tests.docs.runner import Runner
from tests.docs.world import SAMPLES


def test_from_listings_to_a_verified_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for photo in SAMPLES.glob("*.jpg"):
        shutil.copy(photo, tmp_path / "photos")
    page = list(blocks(ROOT / "docs/practice.md"))
    tables = [block for block in page if block.language == "csv"]
    for name, table in zip(("listings.csv", "verdicts.csv"), tables, strict=True):
        (tmp_path / name).write_text(table.text, encoding="utf-8")
    runner = Runner()
    for block in page:
        runner.run(block)
    printed = {" ".join(line.split()[1:3]): text for line, text in runner.printed.items()}
    listings = (tmp_path / "by-listing.csv").read_text()
    assert listings.splitlines()[1].startswith("L1,")  # words, reports and its photos say so
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["decided"] >= 1
    assert figures["precision"][0]["precision"] is not None
    assert figures["misses"]["audited"] >= 1
    assert "unchanged" in printed["verify case-L1"]
    assert (tmp_path / "case-L1" / "data" / "index.html").exists()
    assert Policy.load("next.toml").keywords == Policy.load("strict").keywords
    assert "with the thresholds of before" in Path("next.toml").read_text()  # of so few outcomes
