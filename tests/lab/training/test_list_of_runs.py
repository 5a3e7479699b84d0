"""The list of runs."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from recognizer.lab.evaluation.out_of_fold import read_out_of_fold, write_out_of_fold
from recognizer.lab.training.runs import open_recipe, train_recipe
from tests.conftest import refuse, succeed
from tests.lab.training.conftest import small_config
from tests.labelled import deal, write_manifest


def test_runs_are_listed(labelled_photos, tmp_path, monkeypatch):
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
    assert (second["recall"], second["finished"]) == ("-", "-")  # not finished
    assert "2 runs" in (shown := succeed("runs").stdout)
    assert "test_efficientnet" in shown
    assert "missing" in refuse("runs", "runs/a", "runs/b", "missing").stderr
    assert "photos=0" in first["--set"].split()
    shutil.rmtree("runs/b")
    for seed in (1, 2):
        shutil.copytree("runs/a", f"runs/{seed}")
        about = json.loads((path := Path(f"runs/{seed}/recipe.json")).read_text())
        about["recipe"]["seed"] = seed
        path.write_text(json.dumps(about))
    *_, last, together = json.loads(succeed("runs", "--json").stdout)
    assert "seed=2" not in last["--set"]  # runs/a comes last
    ap = float(last["AP"].split()[0])
    assert (together["run"], together["AP"]) == ("3 seeds", f"{ap:.3f} ± 0.000")
    for seed in (1, 2):
        shutil.rmtree(f"runs/{seed}")
    assert succeed("runs").stdout.split()[:2] == ["1", "run"]
    shown = json.loads(succeed("runs", "runs/a", "--json").stdout)["out of fold"]["any_product"]
    assert first["AP"].startswith(f"{shown['average_precision']['value']:.3f} (")
    assert first["AP"].endswith(f"-{shown['average_precision']['high']:.2f})")


def test_errors_out_of_fold_are_shown(trained, split, tmp_path):
    """With the maps of the networks without their fold, and photos that these learned from."""
    keys = ("sha256", "label", "source", "split")
    rows = [{"file": str(p.path)} | {key: getattr(p, key) for key in keys} for p in split]
    write_manifest(tmp_path, rows)
    page, run = tmp_path / "errors.html", shutil.copytree(trained.folder, tmp_path / "run")
    held = read_out_of_fold(run / "out-of-fold.parquet")
    wrong = replace(held, log_odds=np.roll(held.log_odds, len(held.photos) // 3, axis=0))
    write_out_of_fold(wrong, run / "out-of-fold.parquet")
    given = ("runs", run, "--rounds", 10, "--output", page)
    assert "--output takes one RUN and its --data" in refuse(*given).stderr
    succeed(*given, "--data", tmp_path)
    text = page.read_text("utf-8")
    assert "scored by a network that had not seen its fold" in text
    folds, errors = set(), text.split('<figure class="error">')[1:]
    for error in errors:
        (photo,) = (p for p in split if str(p.path) in error)
        assert photo.split == "train"
        assert photo.sha256 in error
        assert error.count('alt="Training photo"') == 3
        folds.add(next(f for p, f in zip(trained.photos, trained.folds, strict=True) if p == photo))
    assert folds == {0, 1}
