"""The commands and policies of the pages on practice, as they stand there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from recognizer._policy_file import load_policy
from recognizer.cli import ExitCode
from tests.conftest import invoke
from tests.pictures import encoded, picture

DOCS = Path(__file__).parents[1] / "docs"
SAMPLES = DOCS.parent / "datasets" / "samples"


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that the pages speak of."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for number, color in enumerate(("red", "green")):
        (tmp_path / f"photos/{number}.jpg").write_bytes(encoded(picture(color)))
    (tmp_path / "listings.csv").write_text(
        "id,title,seller,reports,image_1,image_2\n"
        "7,old ivory,ann,2,photos/0.jpg,photos/1.jpg\n8,vase,bob,,photos/1.jpg,\n9,ivory,bob,1,,\n"
    )
    return tmp_path


def run(page: str) -> dict[str, str]:
    """Run each command of a page, and return what each printed, by its first two words."""
    printed = {}
    for line in "\n".join(blocks(page, "console")).splitlines():
        command, _, output = line.split(" #")[0].partition(" > ")
        if not command.strip():
            continue
        program, *arguments = shlex.split(command)
        assert program == "recognizer"
        done = invoke(*arguments)
        assert done.exit_code == ExitCode.DONE, (line, done.output)
        if output:
            Path(output.strip()).write_text(done.stdout, encoding="utf-8")
        printed[" ".join(arguments[:2])] = done.output
    return printed


def test_listings(folder: Path) -> None:
    pytest.importorskip("pyarrow")
    run("listings.md")
    assert (folder / "by-listing.jsonl").read_text().count("\n") == 3


def test_policies_and_comparisons(folder: Path) -> None:
    text = (DOCS / "policy.md").read_text(encoding="utf-8")
    assert "scan photos/ --policy mine.toml" in text
    invoke("scan", "listings.csv", "--output", "scan.jsonl")
    run("policy.md")
    assert load_policy("mine.toml").digest == load_policy("strict").digest
    assert (folder / "changes.html").exists()
    for name, source in (
        *(("before", "scan"), ("january", "scan")),
        *(("after", "decided"), ("february", "decided")),
    ):
        shutil.copy(f"{source}.jsonl", f"{name}.jsonl")
    run("compare.md")
    assert "journals" in json.loads((folder / "compare.json").read_text())


def test_from_listings_to_a_verified_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for photo in SAMPLES.glob("*.jpg"):
        shutil.copy(photo, tmp_path / "photos")
    for name, text in zip(
        ("listings.csv", "verdicts.csv"), blocks("practice.md", "csv"), strict=True
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
    printed = run("practice.md")
    listings = (tmp_path / "by-listing.csv").read_text()
    assert listings.splitlines()[1].startswith("L1,")  # words, reports and its photos say so
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["decided"] >= 1
    assert figures["precision"][0]["precision"] is not None
    assert figures["misses"]["audited"] >= 1
    assert "files unchanged" in printed["verify case-L1"]
    assert (tmp_path / "case-L1" / "index.html").exists()
    assert load_policy("next.toml").keywords == load_policy("strict").keywords


@pytest.mark.parametrize("text", blocks("policy.md", "toml"))
def test_the_policies_are_valid(text: str, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(text, encoding="utf-8")
    load_policy(tmp_path / "p.toml")
