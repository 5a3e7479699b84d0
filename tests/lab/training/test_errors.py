"""The errors of a run."""

import shutil
from dataclasses import replace

import numpy as np

from recognizer.lab.evaluation.out_of_fold import read_out_of_fold, write_out_of_fold
from tests.conftest import refuse, succeed
from tests.labelled import write_manifest


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
