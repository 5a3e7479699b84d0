"""From photos to out-of-fold predictions: every source is scored by a run that left it out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from recognizer.cli import ExitCode, app
from recognizer.dataset.folds import read_folds
from recognizer.dataset.manifest import load_photos
from recognizer.dataset.out_of_fold import read_out_of_fold
from recognizer.training import folds as module
from recognizer.training.runs import load_run, run_network
from tests.labelled import COLOR_OF, write_recipe, write_split_photos


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_split_photos(tmp_path / "data")


def train(data: Path, output: Path, *more: object, **recipe: object) -> Result:
    config = write_recipe(data.parent / "recipe.toml", **recipe)
    return invoke("train", config, "--data", data, "--folds", 3, "--output", output, *more)


@pytest.mark.parametrize("recipe", [{"frozen": True, "head_c": 1.0}, {"loss": "sigmoid"}])
def test_each_photo_is_scored_by_the_run_that_left_it_out(
    data: Path, tmp_path: Path, recipe: dict[str, object]
) -> None:
    trained = train(data, tmp_path / "runs", "--keep-embeddings", **recipe)
    assert trained.exit_code == ExitCode.DONE, trained.output
    assert "24 photos, 12 left out" in trained.output
    file = tmp_path / "runs" / "out-of-fold.parquet"
    labels = sorted(COLOR_OF)
    assert pq.read_schema(file).names == [
        *("sha256", "source", "label", "subtype", "fold"),
        *(f"log_odds.{label}" for label in labels),
        "embedding",
    ]
    found = read_out_of_fold(file)
    photos = {p.sha256: p for p in load_photos(data) if p.split == "train"}
    assert {p.sha256 for p in found.photos} == set(photos)
    fold_of = read_folds(tmp_path / "runs" / "folds.csv").fold_of
    assert [fold_of[p.source] for p in found.photos] == found.folds.tolist()
    assert list(found.labels) == labels
    assert found.recipe["backbone"] == "test_efficientnet"
    if "frozen" in recipe:
        right = [labels[i] for i in found.log_odds.argmax(axis=1)]
        assert np.mean([a == p.label for a, p in zip(right, found.photos, strict=True)]) > 0.9
        assert found.probabilities.sum(axis=1) == pytest.approx(np.ones(36), abs=1e-5)
        assert (tmp_path / "runs" / "features.sqlite").exists()
    network, config, _ = load_run(tmp_path / "runs" / "fold-1")
    rows = np.flatnonzero(found.folds == 1)
    held = [photos[found.photos[i].sha256] for i in rows]
    logits = run_network(network, held, config)[0].double()
    expected = logits.softmax(1) if config.loss == "softmax" else logits.sigmoid()
    assert found.probabilities[rows] == pytest.approx(expected.numpy(), abs=1e-4)
    assert found.embedding is not None
    assert found.embedding.shape == (36, network.head.in_channels)


def test_finished_folds_are_skipped(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "runs"
    fit, seen = module.fit, list[str]()

    class KilledError(Exception):
        pass

    def die_in_fold_one(config: object, photos: object, folder: Path, **more: object) -> object:
        if folder.name == "fold-1":
            raise KilledError
        return fit(config, photos, folder, **more)

    with monkeypatch.context() as patched:
        patched.setattr(module, "fit", die_in_fold_one)
        assert train(data, output, frozen=True).exit_code != ExitCode.DONE
    first = output / "fold-0" / "out-of-fold.parquet"
    times = first.stat().st_mtime_ns, (output / "fold-0" / "last.ckpt").stat().st_mtime_ns
    predict = module._predict
    monkeypatch.setattr(module, "_predict", lambda *args: (seen.append(args[4]), predict(*args))[1])
    resumed = train(data, output, frozen=True)
    assert resumed.exit_code == ExitCode.DONE, resumed.output
    assert seen == [1, 2]
    after = first.stat().st_mtime_ns, (output / "fold-0" / "last.ckpt").stat().st_mtime_ns
    assert after == times
    assert len(read_out_of_fold(output / "out-of-fold.parquet").photos) == 36
    other = train(data, output, frozen=True, head_c=3.0)
    assert other.exit_code == ExitCode.USAGE
    assert "other config" in " ".join(other.output.split())


def test_the_table_of_a_run_is_kept_and_others_can_be_given(data: Path, tmp_path: Path) -> None:
    table = tmp_path / "folds.csv"
    table.write_text("source,fold\ntrain/a,0\ntrain/b,1\ntrain/c,1\n")
    recipe = write_recipe(tmp_path / "r.toml", frozen=True)
    given = ("train", recipe, "--data", data, "--output", tmp_path / "run")
    assert invoke(*given, "--folds", table).exit_code == ExitCode.DONE
    found = read_out_of_fold(tmp_path / "run" / "out-of-fold.parquet")
    assert sorted(set(found.folds.tolist())) == [0, 1]
    assert invoke(*given, "--keep-embeddings").exit_code == ExitCode.USAGE
