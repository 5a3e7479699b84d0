"""A frozen backbone with a logistic regression on features that are computed once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recognizer.dataset.manifest import Photo
from recognizer.errors import DatasetError, TrainingError
from recognizer.training import frozen
from recognizer.training.fit import fit
from recognizer.training.frozen import FEATURES_FILE, UNSEEN_LOGIT, fit_head
from recognizer.training.runs import run_network
from tests.training.conftest import small_config

FROZEN = {"frozen": True, "head_c": 1.0}


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_it_learns_colours_in_a_moment(split: list[Photo], tmp_path: Path, loss: str) -> None:
    config = small_config(**FROZEN, loss=loss)
    rows: list[dict[str, float]] = []
    network = fit(config, split, tmp_path, on_epoch=rows.append)
    held = [p for p in split if p.split == "validation"]
    labels = sorted({p.label for p in split})
    found = run_network(network, held, config)[0]
    assert [labels[i] for i in found.argmax(1)] == [p.label for p in held]
    assert rows[0]["accuracy"] == 1
    assert (tmp_path / "log.csv").is_file()
    again = fit(config, split, tmp_path, on_epoch=rows.append)
    assert len(rows) == 1
    assert torch.equal(again.head.weight, network.head.weight)


def test_features_are_computed_once(
    split: list[Photo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    run_batches = frozen.run_batches

    def note(network: object, photos: list[Photo], config: object) -> object:
        seen.append(len(photos))
        return run_batches(network, photos, config)

    monkeypatch.setattr(frozen, "run_batches", note)
    store = tmp_path / FEATURES_FILE
    some = [p for p in split if p.split == "train"]
    fit(small_config(**FROZEN), some, tmp_path / "a", features=store)
    fit(small_config(**FROZEN), split, tmp_path / "b", features=store)  # only those held out
    fit(small_config(frozen=True, head_c=0.1), split, tmp_path / "c", features=store)
    assert seen == [12, 12]
    fit(small_config(**FROZEN, seed=1), split, tmp_path / "d", features=store)  # other weights
    assert seen == [12, 12, 24]


def test_a_store_of_something_else_is_refused(split: list[Photo], tmp_path: Path) -> None:
    store = tmp_path / "features.sqlite"
    store.write_text("no database, but long enough to look into" * 100)
    with pytest.raises(TrainingError, match=r"store of features.*delete it"):
        fit(small_config(**FROZEN), split, tmp_path / "run", features=store)


def test_a_photo_that_changed_is_refused(split: list[Photo], tmp_path: Path) -> None:
    changed = [replace(p, sha256="0" * 64) if i == 3 else p for i, p in enumerate(split)]
    with pytest.raises(DatasetError, match="not that of the manifest"):
        fit(small_config(**FROZEN), changed, tmp_path)


def test_labels_without_a_photo_and_pairs_of_labels() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 3)).astype(np.float32)
    truth = ["b" if x > 0 else "c" for x in features[:, 0]]
    config = small_config(**FROZEN)
    weight, bias = fit_head(features, truth, ["a", "b", "c"], np.ones(40), config)
    logits = torch.from_numpy(features) @ weight.T + bias
    assert (logits[:, 0] == UNSEEN_LOGIT).all()
    assert ["abc"[i] for i in logits.argmax(1)] == truth


def test_weights_count() -> None:
    features = np.zeros((4, 2), np.float32)
    weights = np.array([3.0, 0.5, 0.25, 0.25])
    config = small_config(**FROZEN)
    _, bias = fit_head(features, ["a", "b", "b", "b"], ["a", "b"], weights, config)
    assert torch.softmax(bias, 0)[0] == pytest.approx(0.75, abs=0.01)
