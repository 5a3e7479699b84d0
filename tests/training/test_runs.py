"""Finished runs: their photos, and the mean of several."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recognizer.dataset.manifest import Photo
from recognizer.errors import TrainingError
from recognizer.training.fit import fit
from recognizer.training.runs import CHECKPOINT, check_data, load_run
from tests.training.conftest import FinishedRun


def test_a_run_knows_its_photos(run: FinishedRun, split: list[Photo]) -> None:
    check_data(run.folder, split[::-1])
    with pytest.raises(TrainingError, match="other photos"):
        check_data(run.folder, [p for p in split if p.label != "ceramic"])


def test_runs_of_several_seeds_are_averaged(
    run: FinishedRun, split: list[Photo], tmp_path: Path
) -> None:
    other = fit(replace(run.config, seed=1), split, tmp_path / "1")
    mean, found, _ = load_run(run.folder, tmp_path / "1")
    assert found.seed == 0
    one, two = (network.state_dict() for network in (run.network, other))
    assert any(not torch.equal(one[name], two[name]) for name in one)
    for name, value in mean.state_dict().items():
        if value.dtype.is_floating_point:
            torch.testing.assert_close(value, (one[name] + two[name]) / 2)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("learning_rate", 0.1, "more than its seed"),
        ("probe", True, r"with version 0\.1\.0"),  # a run of two branches
    ],
)
def test_runs_of_other_recipes_are_not_averaged(
    run: FinishedRun, tmp_path: Path, key: str, value: object, words: str
) -> None:
    state = torch.load(run.folder / CHECKPOINT, weights_only=True)
    state["config"][key] = value
    torch.save(state, tmp_path / CHECKPOINT)
    with pytest.raises(TrainingError, match=words):
        load_run(tmp_path, run.folder)
