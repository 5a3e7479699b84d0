from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recognizer.dataset.manifest import Photo
from recognizer.errors import TrainingError
from recognizer.training.fit import first_stages, fit
from recognizer.training.model import build_network
from recognizer.training.runs import load_run
from tests.training.conftest import FinishedRun, small_config


def test_early_epochs_see_smaller_pictures(run: FinishedRun) -> None:
    assert run.sizes == [(24, 24)] * 2 + [(32, 32)] * 2


def test_frozen_stages_keep_their_weights(run: FinishedRun) -> None:
    torch.manual_seed(run.config.seed)
    fresh = first_stages(build_network(run.config, 3), 1)
    for before, after in zip(fresh, first_stages(run.network, 1), strict=True):
        pairs = zip(before.parameters(), after.parameters(), strict=True)
        assert all(torch.equal(*pair) for pair in pairs)


class _KilledError(Exception):
    pass


def _die(*_: object) -> None:
    raise _KilledError


def assert_equal_weights(one: torch.nn.Module, other: torch.nn.Module) -> None:
    theirs = other.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


def test_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(
    run: FinishedRun, split: list[Photo], tmp_path: Path
) -> None:
    def die_in_epoch_two(progress: object) -> None:
        if progress.epoch == 2:
            raise _KilledError

    with pytest.raises(_KilledError):
        fit(run.config, split, tmp_path, on_progress=die_in_epoch_two)
    with pytest.raises(TrainingError, match="stopped after epoch 1 of 2"):
        load_run(tmp_path)
    resumed = fit(run.config, split, tmp_path)
    assert_equal_weights(run.network, resumed)
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert len(rows) == 1 + run.config.epochs


def test_a_run_killed_before_its_checkpoint_logs_each_epoch_once(
    split: list[Photo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("recognizer.training.fit.torch.save", _die)
        with pytest.raises(_KilledError):
            fit(small_config(), split, tmp_path)
    fit(small_config(), split, tmp_path)
    with (tmp_path / "log.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]


def test_tensorboard_is_told_of_every_epoch(run: FinishedRun) -> None:
    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    assert {"loss", "learning_rate", "photos_per_second"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss")] == [1, 2]


@pytest.mark.parametrize("change", [{"seed": 1}, {"learning_rate": 0.1}])
def test_another_configuration_does_not_continue_a_run(
    run: FinishedRun, split: list[Photo], change: dict[str, float]
) -> None:
    with pytest.raises(TrainingError, match="other config"):
        fit(replace(run.config, **change), split, run.folder)


def test_a_finished_run_stays_as_it_is(
    run: FinishedRun, split: list[Photo], tmp_path: Path
) -> None:
    folder = shutil.copytree(run.folder, tmp_path / "copy")
    assert_equal_weights(run.network, fit(run.config, split, folder))
