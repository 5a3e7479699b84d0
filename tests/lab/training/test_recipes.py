"""Recipes and their mistakes; those of the package with a small backbone, up to a served bundle."""

import json
import os
import re
from pathlib import Path
from unittest.mock import Mock, patch

import pytest

from recognizer import Recognizer
from recognizer.cli import ExitCode
from recognizer.errors import TrainingError
from recognizer.lab.training import runs
from recognizer.lab.training.config import load_config
from recognizer.lab.training.runs import read_recipe
from tests.conftest import invoke, refuse, succeed
from tests.labelled import COLOR_OF, SMALL_RECIPE, write_photos, write_split_photos

SMALL = {  # in place of each recipe's backbone
    "small-cpu": {"backbone": "test_efficientnet", "input_size": 32, "pooling": "mean"},
    "wildlife": {
        "backbone": "tf_efficientnet_lite0",
        "input_size": 32,
        "folds": 2,
        "freeze_stages": 1,
        "keep_head": "false",
        "ensemble.backbones": '["mobilenetv2_035"]',
        "ensemble.rendered": '""',
        "ensemble.recipe": "{photos = 24}",
    },
}

QUICK = {name: SMALL_RECIPE[name] for name in ("weights", "photos", "batch_size", "device")}


def settings(**values):
    return [part for key, value in values.items() for part in ("--set", f"{key}={value}")]


@pytest.mark.parametrize("name", [*SMALL][1:])  # the first is that of the guide
def test_it_trains_a_bundle_that_is_served(name, tmp_path):
    data = write_split_photos(tmp_path / "data")
    run, output = tmp_path / "run", tmp_path / "own-name-v3"
    values = {**QUICK, **SMALL[name]}
    with patch.object(runs, "Run", wraps=runs.Run) as made:
        succeed("train", name, "--data", data, "--output", run, *settings(**values))
    # Two networks, once without each fold, and once with all photos.
    assert sorted(len(call.args[2]) for call in made.call_args_list) == [12, 12, 24, 24, 36, 36]
    exported = succeed("export", run, "--data", data, "--output", output)
    assert "what int8 loses was not measured" in exported.stderr  # of 12 photos of each label
    recognizer = Recognizer.load(output)
    assert recognizer.bundle.title == "own-name-v3"
    assert set(recognizer.predict(next(data.glob("*.jpg"))).scores) == set(COLOR_OF)
    assert recognizer.bundle.license is None
    assert json.loads((output / "bundle.json").read_text())["parity"]["fp32"]["largest"] < 1e-3
    assert recognizer.bundle.input.size == values["input_size"]


def test_a_folder_for_each_label_is_enough_without_a_recipe(tmp_path, monkeypatch):
    photos = tmp_path / "photos"
    write_photos(photos, 18)
    monkeypatch.chdir(tmp_path)
    changes = settings(**QUICK, **SMALL["small-cpu"])
    words = " ".join(succeed("train", "--data", photos, *changes).output.split())
    assert "small-cpu: 54 photos of 3 labels, test_efficientnet at 32 pixels, 6 runs" in words
    assert "No test photos" in words
    assert read_recipe(tmp_path / "runs" / "small-cpu").backbone == "test_efficientnet"
    monkeypatch.setattr(runs, "train_recipe", Mock(side_effect=KeyboardInterrupt))
    stopped = invoke("train", "--data", photos, *changes, code=ExitCode.INTERRUPTED)
    assert f"{Path('runs/small-cpu')}. Run the same command again to resume." in " ".join(
        stopped.stderr.split()
    )
    (photos / "ivory_worked").rename(photos / "Whale Tooth")
    words = " ".join(invoke("train", "--data", photos).output.split())
    assert "unknown label 'Whale Tooth'" in words
    assert "call it whale_tooth, and write into" in words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--output", "own"), "own: a bundle's folder is called NAME-vN"),
        (("--output", "old-v1"), "old-v1 exists already: a bundle is never overwritten; name"),
        (("--license", "(MIT OR LicenseRef-My) AND CC0-1.0", "--notes", "lost"), "--notes lost"),
    ],
)
def test_export_names_mistakes_before_it_reads_the_data(tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    Path("old-v1").touch()
    assert words in refuse("export", "run", "--data", "lost", "--output", "new-v1", *options).stderr


def test_a_place_that_cannot_be_written_to_is_an_error_of_the_user(tmp_path, monkeypatch):
    photos = tmp_path / "photos"
    write_photos(photos, 3)
    (tmp_path / "file").touch()
    commands = (
        ("dataset", "split", photos),
        ("train", "--data", photos, *settings(**QUICK, **SMALL["small-cpu"])),
        ("export", tmp_path / "no-run", "--data", photos),
        ("enroll", "ivory_raw", next(photos.rglob("*.jpg"))),
    )
    for command in commands:
        done = refuse(*command, "--output", tmp_path / "file" / "mine-v1")
    # As of a folder that may only be read.
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)
    for command in commands:
        done = refuse(*command, "--output", tmp_path / "mine" / "mine-v1")
        assert "cannot be written to" in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("photos = -1", "train.toml: Expected `int` >= 0 - at `$.photos`"),
        ("photo = 3", "train.toml: unknown key 'photo' (did you mean photos?)"),
        ("[augment]\nmincrop = 0.5", "unknown key 'mincrop' (did you mean min_crop?)"),
        ("distill = 0.5", "distill needs ensemble.backbones"),
        ("photos =", "Invalid value"),
    ],
)
def test_mistakes_are_named(tmp_path, text, words):
    path = tmp_path / "train.toml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=re.escape(words)):
        load_config(path)


def test_keys_are_changed_on_the_command_line():
    weights = "weights=some/model.safetensors"
    changes = ["seed=3", "augment.shares.hue = 0.5", weights, 'device="cpu"']
    found = load_config("small-cpu", changes)
    assert (found.seed, found.weights, found.device) == (3, "some/model.safetensors", "cpu")
    assert (found.augment.shares, found.augment.identity_prob) == ({"hue": 0.5}, 0.5)
    for change, words in (
        ("seed", "--set seed: write KEY=VALUE"),
        ("epoch=3", "--set epoch=3: unknown key 'epoch'"),
        ("augment.shares.hues=1", "unknown edit 'hues' (did you mean hue?)"),
        ("device=tpu", "Invalid enum value 'tpu' - at `$.device`; one of auto, cpu, cuda, mps"),
    ):
        with pytest.raises(TrainingError, match=re.escape(words)):
            load_config("small-cpu", [change])
    with pytest.raises(TrainingError, match="no recipe 'dinov9': give a TOML file, or one of: "):
        load_config("dinov9")
