"""All runs of a recipe: folds, two networks, and going on where it was stopped."""

import hashlib
from dataclasses import replace
from unittest.mock import Mock

import msgspec
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from recognizer.errors import TrainingError
from recognizer.lab.dataset.manifest import Photo
from recognizer.lab.training import runs as module
from recognizer.lab.training.fit import Stage
from recognizer.lab.training.model import ProductNetwork, torch_log_odds
from recognizer.lab.training.runs import (
    answers,
    finished_network,
    fold_network,
    open_recipe,
    read_recipe,
    train_recipe,
)
from recognizer.model.numerics import sigmoid
from tests.conftest import encoded, picture, succeed
from tests.lab.training.conftest import small_config
from tests.labelled import write_recipe, write_split_photos
from tests.tiny import write_tiny_bundle


def test_each_photo_is_scored_by_networks_that_left_it_out(trained):
    found, recipe = answers(trained), trained
    assert {p.sha256 for p in found.photos} == {p.sha256 for p in recipe.train}
    assert set(found.folds.tolist()) == {0, 1}
    assert list(found.labels) == recipe.labels
    probabilities = sigmoid(found.log_odds)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(len(found.photos)), abs=1e-5)
    rows = np.flatnonzero(found.folds == 1)
    held = [found.photos[i] for i in rows]
    network = fold_network(recipe, 1)
    assert isinstance(network, ProductNetwork)
    log_odds = torch_log_odds(network, recipe.cache.squares(held))
    assert probabilities[rows] == pytest.approx(sigmoid(log_odds), abs=1e-4)


def test_what_is_finished_is_not_done_again(split, tmp_path, monkeypatch):
    monkeypatch.setattr("recognizer.lab.training.cache._TOGETHER", 9)
    config, said = small_config(folds=2), list[Stage]()

    def train():
        said.clear()
        with (recipe := open_recipe(config, split, tmp_path)).cache:
            train_recipe(recipe, said.append)
        return {f: f.stat().st_mtime_ns for f in tmp_path.glob("fold-*/checkpoint.pt")}

    with monkeypatch.context() as patched:
        patched.setattr(module, "write_out_of_fold", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train()
    assert [(stage.words, stage.done, stage.of) for stage in said][:4] == [
        *(("decoding", done, 24) for done in (9, 18, 24)),
        ("computing features of test_efficientnet", 12, 12),
    ]
    trained = [stage for stage in said if stage.progress]
    assert [stage.run for stage in trained] == ["fold-0", "fold-1"]
    written = {f: f.stat().st_mtime_ns for f in tmp_path.glob("fold-*/checkpoint.pt")}
    assert train() == written
    last = said[-1]
    assert last.words.startswith("run 3 of 3 (all photos, test_efficientnet), loss ")
    assert (last.run, last.done) == ("all", last.of)
    assert last.progress
    assert (last.progress.step, last.progress.photos) == (2, 16)
    assert 0 < last.progress.learning_rate < config.learning_rate
    train()
    assert said == [Stage("nothing is left to do")]


def test_a_backbone_that_stays_as_it_is_passes_each_photo_once(split, tmp_path):
    weights = timm.create_model("test_efficientnet").state_dict()
    weights["conv_stem.weight"][0] = -0.0  # as ImageNet's have, and means of weights have not
    save_file(weights, file := tmp_path / "model.safetensors")
    config = small_config(photos=0, folds=2, head_c=1.0, weights=str(file))
    with (recipe := open_recipe(config, split, tmp_path / "run")).cache:
        train_recipe(recipe)
        passes = "SELECT COUNT(*) FROM feature"
        assert recipe.cache._database.execute(passes).fetchone() == (len(recipe.train),)
        held = recipe.of_fold(0)
        odds = torch_log_odds(fold_network(recipe, 0), recipe.cache.squares(held))
        learned = torch_log_odds(finished_network(recipe), recipe.cache.squares(recipe.train))
    assert answers(recipe).log_odds[: len(held)] == pytest.approx(odds, abs=1e-3)
    assert [recipe.labels[i] for i in learned.argmax(1)] == [p.label for p in recipe.train]


def test_a_recipe_that_trains_no_network_says_where_it_resumes(tmp_path):
    recipe = write_recipe(tmp_path / "frozen.toml", photos=0, folds=2)
    data = write_split_photos(tmp_path / "data")
    said = ["resuming: 2 of 2 folds are done", "nothing is left to do"]
    for words, left_out in ((None, "out-of-fold.parquet"), (said[0], ""), (said[1], "")):
        printed = succeed("train", recipe, "-o", tmp_path / "run", "--data", data).stderr
        assert [line for line in printed.splitlines() if line in said] == [words] * bool(words)
        if left_out:
            (tmp_path / "run" / left_out).unlink()


def test_another_recipe_or_other_photos_do_not_go_on(trained, split, tmp_path):
    other = msgspec.structs.replace(trained.config, learning_rate=0.1)
    fewer = [p for p in split if p is not next(q for q in split if q.split == "train")]
    for config, photos, words in (
        (other, split, r"to another recipe \(there learning_rate=0\.\d+\): choose another folder"),
        (trained.config, fewer, "belongs to other photos: choose another folder, or delete it"),
        (other, [p for p in split if p.label == "ceramic"], "1 labels to train on; at least 2"),
        (None, fewer, "belongs to other photos: give the data that it was trained with"),  # export
    ):
        with pytest.raises(TrainingError, match=words):
            open_recipe(config, photos, trained.folder)
    with (found := open_recipe(None, split, trained.folder)).cache:
        assert found.config == trained.config
    with pytest.raises(TrainingError, match="is a bundle"):
        open_recipe(other, split, write_tiny_bundle(tmp_path / "tiny-v1"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"backbone": "resnet999"}, "Unknown model"),
        ({"folds": "x"}, "folds = 'x': no such table; give a number"),
        ({"weights": "lost.safetensors"}, "No such file"),
        ({"weights": "wildlife-v7"}, "or the path of a safetensors file"),
    ],
)
def test_what_cannot_be_trained_leaves_no_folder(split, tmp_path, changes, words):
    with pytest.raises(TrainingError, match=words):
        open_recipe(small_config(**changes), split, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_table_deals_the_folds_and_groups_the_sources(split, tmp_path):
    table = tmp_path / "folds.csv"
    table.write_text("source,group,fold\na,shops,0\nb,museums,1\n")
    with (recipe := open_recipe(small_config(folds=str(table)), split, tmp_path / "run")).cache:
        for photo, fold, before in zip(recipe.photos, recipe.folds, split, strict=True):
            group = {"a": "shops", "b": "museums"}.get(before.source, before.source)
            assert photo.source == group
            assert fold == {"shops": 0, "museums": 1}.get(group, -1)
    others = [replace(p, source="d") for p in split]
    with pytest.raises(TrainingError, match="'d' is in no fold: deal the sources again"):
        open_recipe(small_config(folds=str(table)), others, tmp_path / "other")


def test_labels_of_an_earlier_run_are_not_forgotten(split, tmp_path, monkeypatch):
    """Ivory is red to the first run; its photos here are blue, and yellow ones are ceramic."""
    config = small_config(photos=0, folds=2)
    with (recipe := open_recipe(config, split, tmp_path / "first")).cache:
        train_recipe(recipe)
        red = [p for p in split if p.label == "ivory_worked"]
        recipe.cache.fill(red)
        inputs = recipe.cache.squares(red)
    own = []
    colors = {"blue": "ivory_worked", "yellow": "ceramic", "gray": "wood"}
    for i, (color, label) in enumerate([*colors.items()] * 6):
        path = tmp_path / f"{i}.jpg"
        path.write_bytes(encoded(picture(color, seed=500 + i)))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        own.append(Photo(path, digest, label, f"s{i % 5}", "train"))

    def ivory(name):
        given = msgspec.structs.replace(
            config, weights=str(tmp_path / "first" / "network.safetensors")
        )
        with (recipe := open_recipe(given, own, tmp_path / name)).cache:
            train_recipe(recipe)
            logits = finished_network(recipe)(torch.from_numpy(inputs)).logits.softmax(1)
        assert recipe.labels == ["ceramic", "ivory_worked", "wood"]
        return float(logits[:, 1].detach().mean())

    kept = ivory("kept")
    monkeypatch.setattr("recognizer.lab.training.fit.earlier_head", lambda *_: None)
    forgotten = ivory("forgotten")
    assert kept > 0.2
    assert forgotten < 0.1


def test_a_folder_without_a_network_says_what_to_do(trained, tmp_path):
    with pytest.raises(TrainingError, match="give the same training command again"):
        finished_network(replace(trained, folder=tmp_path))
    with pytest.raises(TrainingError, match="train first"):
        read_recipe(tmp_path)
