from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recognizer.dataset.manifest import Photo, load_photos
from recognizer.errors import TrainingError
from recognizer.training.config import AugmentConfig
from recognizer.training.devices import launch
from recognizer.training.fit import fit
from recognizer.training.imitation import Imitation
from recognizer.training.model import ProductNetwork, build_network
from recognizer.training.optimizer import first_stages, make_optimizer
from recognizer.training.runs import CHECKPOINT, load_run
from tests.labelled import SMALL_RECIPE, write_split_photos
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


TRANSFORMER = {"backbone": "test_vit", "epochs": 1, "drop_rate": 0.0, "drop_path": 0.0}


def test_two_processes_and_two_passes_train_what_one_does(tmp_path: Path) -> None:
    data = write_split_photos(tmp_path / "data")
    one = small_config(**TRANSFORMER, validation_share=0.0)
    photos = load_photos(data)
    whole = fit(one, photos, tmp_path / "one")
    accumulated = fit(replace(one, accumulate=2), photos, tmp_path / "passes")
    recipe = tmp_path / "two.toml"
    values = {**SMALL_RECIPE, **TRANSFORMER, "validation_share": 0.0, "devices": 2}
    recipe.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items()))
    arguments = ("train", recipe, "--data", data, "--output", tmp_path / "two")
    done = subprocess.run(
        [sys.executable, "-m", "recognizer", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("photos to train on") == 1  # only one of the processes reports
    shared, _, _ = load_run(tmp_path / "two")
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(shared.state_dict()[name], value, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(accumulated.state_dict()[name], value, atol=1e-4, rtol=1e-3)


def test_a_run_goes_on_elsewhere(run: FinishedRun, split: list[Photo], tmp_path: Path) -> None:
    folder = shutil.copytree(run.folder, tmp_path / "copy")
    elsewhere = replace(run.config, workers=3, accumulate=2, device="auto")
    assert_equal_weights(run.network, fit(elsewhere, split, folder))


def test_layers_learn_the_slower_the_deeper_they_lie() -> None:
    config = small_config(**TRANSFORMER, layer_decay=0.5, learning_rate=1.0, backbone_rate=0.1)
    network = build_network(config, 3)
    rate_of = {
        id(weight): group["lr"]
        for group in make_optimizer(network, config).param_groups
        for weight in group["params"]
    }
    backbone = network.backbone
    first, second = (rate_of[id(backbone.blocks[i].mlp.fc1.weight)] for i in (0, 1))
    assert first == pytest.approx(second / 2)
    assert rate_of[id(backbone.patch_embed.proj.weight)] == pytest.approx(first / 2)
    assert rate_of[id(network.head.weight)] == 1.0
    assert max(rate_of[id(weight)] for weight in backbone.parameters()) <= 0.1


def test_low_precision_trains_too(split: list[Photo], tmp_path: Path) -> None:
    fit(small_config(epochs=1, precision="bf16"), split, tmp_path)
    with pytest.raises(TrainingError, match="needs cuda"):
        launch("cpu", 1, "fp16")


def test_an_unfinished_run_of_an_earlier_version_is_refused_with_what_to_do(
    run: FinishedRun, split: list[Photo], tmp_path: Path
) -> None:
    state = torch.load(run.folder / CHECKPOINT, weights_only=True)
    state["epoch"] = 1
    del state["schedule"]
    torch.save(state, tmp_path / CHECKPOINT)
    with pytest.raises(TrainingError, match="finish it with that version, or delete it"):
        fit(run.config, split, tmp_path)


def test_training_begins_where_a_linear_head_ends(split: list[Photo], tmp_path: Path) -> None:
    choices = {"epochs": 1, "photos_per_epoch": 8, "head_c": 1.0}
    linear = fit(small_config(**choices, frozen=True), split, tmp_path / "linear")
    config = small_config(**choices, begin_head=True, learning_rate=1e-9)
    begun = fit(config, split, tmp_path / "begun")
    torch.testing.assert_close(begun.head.weight, linear.head.weight, atol=1e-4, rtol=1e-3)


def test_some_steps_see_small_images(
    split: list[Photo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: set[int] = set()
    forward = ProductNetwork.forward

    def note(network: ProductNetwork, images: torch.Tensor) -> object:
        if network.training:
            sizes.add(images.shape[1])
        return forward(network, images)

    monkeypatch.setattr(ProductNetwork, "forward", note)
    config = small_config(epochs=1, photos_per_epoch=64, small_share=0.5, small_size=24)
    fit(replace(config, augment=AugmentConfig(plain=0.5)), split, tmp_path)
    assert sizes == {24, 32}


def test_finished_weights_lie_a_share_of_the_way(split: list[Photo], tmp_path: Path) -> None:
    choices = {"epochs": 2, "photos_per_epoch": 8}
    whole = fit(small_config(**choices), split, tmp_path / "whole")
    half = fit(small_config(**choices, share=0.5), split, tmp_path / "half")
    assert whole.head.weight.abs().max() > 0
    torch.testing.assert_close(half.head.weight, 0.5 * whole.head.weight)


def test_frozen_features_are_imitated_and_the_run_resumes(
    split: list[Photo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(
        photos_per_epoch=16,
        imitate=["test_efficientnet", "test_resnet"],
        augment=AugmentConfig(plain=0.5),
        freeze_batch_norm=True,
    )
    missed: list[float] = []
    loss = Imitation.loss

    def note(one: Imitation, embedding: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        found = loss(one, embedding, places)
        missed.append(float(found.detach()))
        return found

    monkeypatch.setattr(Imitation, "loss", note)
    whole = fit(config, split, tmp_path / "whole")
    assert len(missed) == 4
    assert 0 < max(missed) < 10
    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        fit(config, split, stopped, on_epoch=_stop)
    resumed = fit(config, split, stopped)
    torch.testing.assert_close(resumed.head.weight, whole.head.weight, atol=1e-3, rtol=0.01)


def _stop(_: dict[str, float]) -> None:
    raise KeyboardInterrupt


def test_only_photos_that_are_hardly_changed_are_imitated() -> None:
    with pytest.raises(TrainingError, match=r"augment\.plain"):
        small_config(imitate=["test_resnet"])
