import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recognizer.errors import DatasetError, TrainingError
from recognizer.imaging import model_input
from recognizer.lab.dataset.manifest import read_photo
from recognizer.lab.training import fit as module
from recognizer.lab.training.cache import PhotoCache
from recognizer.lab.training.config import EnsembleConfig
from recognizer.lab.training.fit import Run
from recognizer.lab.training.model import build_network, choose_device, choose_precision
from tests.lab.training.conftest import small_config


@pytest.fixture(scope="module")
def train(split):
    return [p for p in split if p.split == "train"]


@pytest.fixture(scope="module")
def cache(train, tmp_path_factory):
    found = PhotoCache(tmp_path_factory.mktemp("cache") / "photos.sqlite", 32)
    found.fill(train)
    return found


def run(config, train, cache, folder):
    return Run(config, sorted({p.label for p in train}), train, cache, folder).train()


def test_frozen_stages_keep_their_weights_and_others_learn(train, cache, tmp_path):
    found = run(small_config(freeze_stages=1), train, cache, tmp_path)
    torch.manual_seed(0)
    fresh = build_network(small_config(), 3)
    stem = ("backbone.conv_stem.", "backbone.bn1.", "backbone.blocks.0.")
    frozen = {name for name, _ in fresh.named_parameters() if name.startswith(stem)}
    same = {n for n, before in fresh.named_parameters() if torch.equal(before, found[n])}
    assert frozen
    assert frozen <= same
    assert not any(name.endswith("weight") for name in same - frozen)


def test_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(
    train, cache, tmp_path, monkeypatch
):
    config, labels = small_config(photos=40), sorted({p.label for p in train})
    whole = run(config, train, cache, tmp_path / "whole")
    monkeypatch.setattr(module, "_SAVE_SECONDS", 0.0)

    def die(progress):
        if progress.photos >= 24:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Run(config, labels, train, cache, tmp_path / "stopped").train(die)
    said = []
    resumed = Run(config, labels, train, cache, tmp_path / "stopped").train(said.append)
    assert [(p.photos, p.loss is None) for p in said[:2]] == [(24, True), (32, False)]
    assert [p.step for p in said] == [3, 4, 5]
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    unbroken, joined = ((tmp_path / n / "steps.csv").read_text() for n in ("whole", "stopped"))
    assert unbroken == joined
    rows = [*csv.DictReader(unbroken.splitlines())]
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert all(float(row["loss"]) > 0 and float(row["learning_rate"]) > 0 for row in rows)
    again = run(config, train, cache, tmp_path / "stopped")  # it is finished
    assert all(torch.equal(value, again[name]) for name, value in whole.items())
    other = run(small_config(photos=40, seed=1), train, cache, tmp_path / "other")
    assert not torch.equal(whole["head.weight"], other["head.weight"])


def test_a_network_learns_from_teachers_that_err_too(train, cache, tmp_path):
    ensemble = EnsembleConfig(backbones=["any"])
    labels, config = sorted({p.label for p in train}), small_config(ensemble=ensemble, distill=0.5)
    told, heads = torch.eye(3)[[labels.index(p.label) for p in train]], list[torch.Tensor]()
    for n, soft in enumerate((None, told, told.roll(1, dims=1))):
        learner = Run(config, labels, train, cache, tmp_path / str(n), soft=soft)
        heads.append(learner.train()["head.weight"])
    assert [torch.equal(heads[0], other) for other in heads] == [True, True, False]


def test_a_device_that_is_not_there_is_named():
    if not torch.backends.mps.is_available():
        with pytest.raises(TrainingError, match="device 'mps' is unavailable"):
            choose_device("mps")
    assert choose_precision(torch.device("cuda")) is torch.bfloat16


def test_photos_are_decoded_once_and_as_they_are_served(split, tmp_path):
    path = tmp_path / "photos.sqlite"
    with PhotoCache(path, 32) as cache:
        cache.fill(split[:3])
    moved = [replace(p, path=Path("/nonexistent.jpg")) for p in split[:3]]
    done = []
    with PhotoCache(path, 32) as cache:
        cache.fill([*moved, *split[3:6]], lambda *counts: done.append(counts))
        assert done == [(3, 3)]
        for photo in split[:6]:
            rgb = read_photo(photo, 32)
            assert (cache.rgb(photo.sha256) == rgb).all()
            assert (cache.squares([photo])[0] == model_input(rgb, 32)).all()


def test_a_photo_that_changed_is_refused(split, tmp_path):
    with (
        PhotoCache(tmp_path / "photos.sqlite", 32) as cache,
        pytest.raises(DatasetError, match="not that of the manifest"),
    ):
        cache.fill([replace(split[0], sha256="0" * 64)])


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "photos.sqlite"
    path.write_text("no database, but long enough to look into" * 100)
    with pytest.raises(TrainingError, match=r"photos\.sqlite .*; delete it"):
        PhotoCache(path, 32)
    PhotoCache(tmp_path / "other.sqlite", 32).close()
    with pytest.raises(TrainingError, match="holds photos for an input of 32 pixels"):
        PhotoCache(tmp_path / "other.sqlite", 64)
