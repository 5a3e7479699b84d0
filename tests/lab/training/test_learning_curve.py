"""The list of runs, and what more sources would bring."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recognizer.lab.dataset.manifest import Photo
from recognizer.lab.evaluation.learning_curve import SHARES, curve_of, some_sources
from recognizer.lab.training.config import CascadeConfig, FinishConfig
from recognizer.lab.training.runs import open_recipe, train_recipe
from tests.conftest import refuse, succeed
from tests.lab.training.conftest import small_config
from tests.labelled import deal, photo


def test_a_share_of_sources_is_part_of_the_larger_ones() -> None:
    photos = [photo(i, "bone" if i % 3 else "wood", f"s{i % 20}") for i in range(120)]
    photos.append(photo(999, "coral", "alone"))
    kept = [some_sources(photos, share, 0) for share in SHARES]
    assert kept[-1].all()
    for fewer, more in itertools.pairwise(kept):
        assert (fewer <= more).all()
        assert fewer.sum() < more.sum()
    assert kept[0][-1]  # a label is never without a photo
    assert not (kept[1] == some_sources(photos, 0.25, 1)).all()


def test_the_line_goes_on_by_doublings() -> None:
    hits = np.tile([0.2, 0.3, 0.4, 0.5], (20, 1))
    sources = np.array([f"s{i % 10}" for i in range(20)])
    found = curve_of("ivory", hits, sources)
    assert [e.value for e in found.recall] == pytest.approx([0.2, 0.3, 0.4, 0.5])
    assert found.twice.value == pytest.approx(0.6)
    assert found.sources == (1, 2, 5, 10)
    assert curve_of("ivory", np.tile([0.7, 0.8, 0.9, 1.0], (20, 1)), sources).twice.value == 1


def test_runs_are_listed_and_drawn(
    labelled_photos: list[Photo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no runs in runs/" in refuse("runs").stderr
    photos = deal(labelled_photos, "train", sources=[f"s{i}" for i in range(12)])
    trained = {"backbone": "other", "photos": 64, "finish": {"photos": 0}}
    cascade = CascadeConfig(["test_efficientnet"], trained=trained)
    several = {"cascade": cascade, "soup": {"photos": 8}}
    for name, changes in (("a", {}), ("b", several | {"finish": FinishConfig(photos=4)})):
        config = small_config(photos=0, folds=2, **changes)
        with (recipe := open_recipe(config, photos, Path("runs", name))).cache:
            if name == "a":
                train_recipe(recipe)
    first, second = json.loads(succeed("runs", "--json").stdout)
    assert (first["run"], second["run"]) == ("runs/a", "runs/b")
    assert first["recipe"] == "wildlife: test_efficientnet at 32, frozen"
    assert second["recipe"] == "wildlife: test_efficientnet and other at 32, 80 photos"
    assert "(" in first["recall"]
    assert (second["recall"], second["took"]) == ("-", "-")  # not finished
    assert "2 runs" in (shown := succeed("runs").stdout)
    assert "test_efficientnet" in shown
    done = succeed("runs", "runs/a", "--learning-curve", "curve.png")
    assert "if there were twice" in done.stdout.replace("\n", " ")
    with Image.open("curve.png") as image:
        assert image.size[0] > 400
    assert "name it" in refuse("runs", "--learning-curve", "x.svg").stderr
    assert "end in .svg" in refuse("runs", "runs/a", "--learning-curve", "x.txt").stderr
    assert "missing" in refuse("runs", "runs/a", "runs/b", "missing").stderr
    monkeypatch.setattr("recognizer.lab.evaluation.learning_curve._MIN_SOURCES", 99)
    assert "products of 99 sources" in refuse("runs", "runs/a", "--learning-curve", "x.svg").stderr
    shutil.rmtree("runs/b")
    assert succeed("runs").stdout.split()[:2] == ["1", "run"]
