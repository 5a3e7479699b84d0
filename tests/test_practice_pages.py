"""The commands and policies of docs/policy.md, listings.md and compare.md, as they stand there."""

from __future__ import annotations

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


def run(page: str) -> None:
    """Run each command of a page."""
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
    assert (folder / "compare.json").read_text().startswith('{"journals"')


@pytest.mark.parametrize("text", blocks("policy.md", "toml"))
def test_the_policies_are_valid(text: str, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(text, encoding="utf-8")
    load_policy(tmp_path / "p.toml")
