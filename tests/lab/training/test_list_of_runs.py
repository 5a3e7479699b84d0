"""The list of runs."""

import json
import shutil
from pathlib import Path

import pytest

from recognizer.lab.dataset.manifest import Photo
from recognizer.lab.training.runs import open_recipe, train_recipe
from tests.conftest import refuse, succeed
from tests.lab.training.conftest import small_config
from tests.labelled import deal


def test_runs_are_listed(
    labelled_photos: list[Photo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no runs in runs/" in refuse("runs").stderr
    photos = deal(labelled_photos, "train", sources=[f"s{i}" for i in range(12)])
    for name, count in (("a", 0), ("b", 80)):
        config = small_config(photos=count, folds=2)
        with (recipe := open_recipe(config, photos, Path("runs", name))).cache:
            if name == "a":
                train_recipe(recipe)
    first, second = json.loads(succeed("runs", "--json").stdout)
    assert (first["run"], second["run"]) == ("runs/a", "runs/b")
    assert first["recipe"] == "wildlife: test_efficientnet at 32, frozen"
    assert second["recipe"] == "wildlife: test_efficientnet at 32, 80 photos"
    assert "(" in first["recall"]
    assert (second["recall"], second["took"]) == ("-", "-")  # not finished
    assert "2 runs" in (shown := succeed("runs").stdout)
    assert "test_efficientnet" in shown
    assert "missing" in refuse("runs", "runs/a", "runs/b", "missing").stderr
    shutil.rmtree("runs/b")
    assert succeed("runs").stdout.split()[:2] == ["1", "run"]
