"""The commands of the README and of the guide, word for word, on photos that this file makes."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recognizer.cli import ExitCode
from tests.conftest import invoke, read_rows
from tests.labelled import write_recipe
from tests.pictures import scene

for module in ("torch", "onnxscript", "timm"):
    pytest.importorskip(module, reason="the extra `train` is not installed")

ROOT = Path(__file__).parents[1]
TINTS = {"ivory_worked": (235, 225, 190), "wood": (120, 70, 30), "listing_other": (60, 90, 200)}


def write_photo(path: Path, tint: tuple[int, int, int], seed: int) -> None:
    """A scene of shapes, seen through a tint."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shapes = np.asarray(scene(seed, (128, 96)), np.float64)
    tinted = 0.3 * shapes + 0.7 * np.array(tint)
    Image.fromarray(tinted.astype(np.uint8)).save(path)


def write_photos(folder: Path, **renamed: str) -> None:
    """Make ``photos/``, a folder for each label and source, and ``more-photos/``."""
    for number, (label, tint) in enumerate(TINTS.items()):
        for i in range(15):
            inside = Path("photos") / renamed.get(label, label) / f"shop-{i // 3}"
            write_photo(folder / inside / f"{i}.jpg", tint, 100 * number + i)
        write_photo(folder / "more-photos" / f"{label}.jpg", tint, 1000 + number)


def commands(text: str) -> list[list[str]]:
    """Return the commands of all blocks that a page shows, as a shell reads them."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = "\n".join(blocks).splitlines()
    found = [shlex.split(line, comments=True) for line in lines if line.strip()]
    assert all(words[0] in {"pip", "recognizer"} for words in found)
    return [words[1:] for words in found if words[0] == "recognizer"]


def run(text: str) -> dict[str, str]:
    """Run all commands of a page, which have to succeed, and return what each verb printed last."""
    printed = {}
    for arguments in commands(text):
        done = invoke(*arguments)
        assert done.exit_code == ExitCode.DONE, (arguments, done.output, done.exception)
        printed[" ".join(arguments[:2])] = done.output
    return printed


def test_the_readme_trains_on_photos_of_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photos(tmp_path)
    monkeypatch.chdir(tmp_path)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Train on your own photos")[2].partition("\n## ")[0]
    assert len(commands(section)) == 5
    printed = run(section)
    assert "Source: the folder inside each label's folder" in printed["dataset split"]
    assert "used small-cpu" in " ".join(printed["train --data"].split())
    rows = read_rows(Path("own.jsonl"))
    assert len(rows) == len(TINTS)
    assert all(row["status"] == "ok" and row["scores"].keys() == TINTS.keys() for row in rows)
    assert Path("report.html").is_file()


def test_the_guide_trains_a_label_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a small network of random weights in place of the one that learns something."""
    write_photos(tmp_path, ivory_worked="whale_tooth")
    monkeypatch.chdir(tmp_path)
    recipe = write_recipe(Path("small.toml"), frozen=True, validation_share=0.3)
    monkeypatch.setattr("recognizer.training.config.DEFAULT_RECIPE", str(recipe))
    page = (ROOT / "docs" / "own-photos.md").read_text(encoding="utf-8")
    policy = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert policy is not None
    Path("policy.toml").write_text(policy[1])
    printed = run(page)
    assert "Wrote data/manifest.csv" in printed["dataset split"]
    assert "any product" in printed["evaluate bundles/own-v1"]
    assert "Whale tooth" in Path("queue.html").read_text(encoding="utf-8")
    for row in read_rows(Path("strict.jsonl")):
        assert "whale_tooth" in row["scores"]
        assert row["policy"]["name"] == "policy"
    described = json.loads(Path("bundles/own-v1/bundle.json").read_text())
    assert described["taxonomy"]["label"]["whale_tooth"]["kind"] == "product"
    labels = [
        json.loads(line)
        for line in invoke("labels", "bundles/own-v1", "--json").stdout.splitlines()
    ]
    assert {row["label"] for row in labels if row["recognized"]} == {
        *("whale_tooth", "wood", "listing_other")
    }
