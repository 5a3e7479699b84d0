"""The commands of a release, from photos to a bundle: two seeds, their mean, a source left out."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from recognizer.cli import ExitCode
from recognizer.engine import Recognizer
from recognizer.training.runs import load_run
from tests.conftest import invoke
from tests.labelled import COLOR_OF, write_recipe, write_split_photos

pytest.importorskip("onnxscript", reason="the extra `train` is not installed")

LEFT_OUT = {"validation_share": 0.3, "exclude_sources": ["train/a"]}
NOTHING_LEFT_OUT = {**LEFT_OUT, "exclude_sources": []}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_split_photos(tmp_path / "data")


def test_seeds_are_averaged(data: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "all.toml", **NOTHING_LEFT_OUT)
    for seed in (0, 1):
        output = tmp_path / f"s{seed}"
        trained = invoke("train", recipe, "--data", data, "--output", output, "--seed", seed)
        assert trained.exit_code == ExitCode.DONE, trained.output
        assert json.loads((output / "config.json").read_text())["seed"] == seed
    runs = (tmp_path / "s0", tmp_path / "s1")
    done = invoke("export", *runs, "--data", data, "--output", tmp_path / "tiny-v1")
    assert done.exit_code == ExitCode.DONE, done.output
    description = json.loads((tmp_path / "tiny-v1" / "bundle.json").read_text())
    assert description["training"]["averaged_runs"] == 2
    assert Recognizer.load(tmp_path / "tiny-v1").bundle.title == "tiny-v1"


def test_a_folder_for_each_label_is_enough_to_train(data: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    for picture_file in data.glob("*.jpg"):
        folder = plain / picture_file.name.rsplit("-", 1)[0]
        folder.mkdir(parents=True, exist_ok=True)
        picture_file.rename(folder / picture_file.name)
    recipe, run = write_recipe(tmp_path / "plain.toml", **NOTHING_LEFT_OUT), tmp_path / "run"
    trained = invoke("train", recipe, "--data", plain, "--output", run)
    assert trained.exit_code == ExitCode.DONE, trained.output
    _, _, labels = load_run(run)
    assert labels == sorted(COLOR_OF)


def test_what_a_run_left_out_is_enrolled(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("recognizer.enrolment.enroll")  # its name is a function's too
    monkeypatch.setattr(module, "MIN_NEGATIVES", 4)
    recipe = write_recipe(tmp_path / "recipe.toml", **LEFT_OUT, freeze_stages=1)
    run, output = tmp_path / "run", tmp_path / "tiny-v1"
    invoke("train", recipe, "--data", data, "--output", run)
    arguments = ("export", run, "--data", data, "--output", output, "--enroll")
    none = invoke(*arguments, "rhino_horn")
    assert none.exit_code == ExitCode.USAGE
    assert "left 0 photos of it out" in " ".join(none.output.split())
    done = invoke(*arguments, "ivory_worked")
    assert done.exit_code == ExitCode.DONE, done.output
    description = json.loads((output / "bundle.json").read_text())
    evidence = {e["name"]: e["evidence"] for e in description["labels"]}["ivory_worked"]
    assert evidence["enrolment"]["photos"] == len(evidence["enrolment"]["ranks"]) >= 3
    assert evidence["test"]["photos"] == 6
    assert [step["step"] for step in description["lineage"]] == ["exported", "enrolled"]
    assert description["lineage"][1]["label"] == "ivory_worked"
    assert description["evaluation"]["negatives"] == 12
    card = (output / "MODEL_CARD.md").read_text()
    assert "**ivory_worked was enrolled from" in card
    assert Recognizer.load(output).bundle.title == "tiny-v1"
