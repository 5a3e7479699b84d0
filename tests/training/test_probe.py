"""The branch that is not fine-tuned, and the linear probe on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recognizer.dataset.manifest import Photo, read_photo
from recognizer.errors import TrainingError
from recognizer.imaging import model_input
from recognizer.training.config import TrainingConfig
from recognizer.training.fit import fit
from recognizer.training.model import ProductNetwork, build_network
from recognizer.training.probe import fit_probe
from recognizer.training.runs import load_run

MakeConfig = Callable[..., TrainingConfig]


@pytest.fixture(scope="module")
def train(labelled_photos: list[Photo]) -> list[Photo]:
    return [p for i, p in enumerate(labelled_photos) if i % 3]


def _labels(photos: list[Photo]) -> list[str]:
    return sorted({p.label for p in photos})


def _inputs(photos: list[Photo], size: int) -> torch.Tensor:
    return torch.stack([torch.from_numpy(model_input(read_photo(p, size), size)) for p in photos])


def _probe(config: TrainingConfig, photos: list[Photo]) -> ProductNetwork:
    return fit_probe(config, _labels(photos), photos, device=torch.device("cpu"))


@pytest.mark.parametrize("shared", [0, 2])
def test_both_branches_say_the_weighted_mean_of_what_each_says(
    train: list[Photo], config: MakeConfig, tmp_path: Path, shared: int
) -> None:
    choices = config(freeze_stages=shared, freeze_batch_norm=True)
    tuned = fit(choices, train, tmp_path)
    images = _inputs(train[:6], choices.input_size)
    with torch.no_grad():
        alone = tuned(images).logits
        probed = _probe(choices, train)(images)
    told: list[str] = []
    for weight in (0.5, 0.2, 0.0):  # what comes after training may change when it is over
        chosen = replace(choices, probe=True, probe_weight=weight)
        both = fit(chosen, train, tmp_path, on_choice=told.append)
        with torch.no_grad():
            found = both(images)
        mean = torch.lerp(alone, probed.logits, weight)
        assert torch.allclose(found.logits, mean, atol=1e-4)
        assert torch.allclose(found.maps.mean(dim=(2, 3)), found.logits, atol=1e-4)
        assert torch.allclose(found.embedding, probed.embedding, atol=1e-5)
    assert told == [
        "probe: False before, True from now on",
        "probe_weight: 0.5 before, 0.2 from now on",
        "probe_weight: 0.2 before, 0.0 from now on",
    ]
    again = fit(choices, train, tmp_path)
    for name, value in tuned.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_the_probe_tells_colours_apart_by_random_features(
    labelled_photos: list[Photo], train: list[Photo], config: MakeConfig
) -> None:
    choices = config(probe=True)
    others = [p for p in labelled_photos if p not in train]
    probe = _probe(choices, train)
    with torch.no_grad():
        found = probe(_inputs(others, choices.input_size)).logits.argmax(1)
    assert [_labels(train)[i] for i in found] == [p.label for p in others]


def test_two_labels_are_as_good_as_many(train: list[Photo], config: MakeConfig) -> None:
    two = [p for p in train if p.label != "ceramic"]
    choices = config(probe=True)
    with torch.no_grad():
        logits = _probe(choices, two)(_inputs(two, choices.input_size)).logits
    assert [_labels(two)[i] for i in logits.argmax(1)] == [p.label for p in two]


@pytest.mark.parametrize("shared", [0, 1])
def test_of_a_label_without_photos_the_tuned_branch_decides_alone(
    train: list[Photo], config: MakeConfig, tmp_path: Path, shared: int
) -> None:
    rendered = [replace(p, source="synthetic/scene") if p.label == "ceramic" else p for p in train]
    choices = config(freeze_stages=shared, freeze_batch_norm=True)
    tuned = fit(choices, rendered, tmp_path)
    both = fit(replace(choices, probe=True), rendered, tmp_path)
    labels = _labels(train)
    images = _inputs(train[:6], choices.input_size)
    with torch.no_grad():
        alone = tuned(images).logits
        probed = _probe(choices, rendered)(images).logits
        found = both(images).logits
    ceramic = labels.index("ceramic")
    assert torch.equal(probed[:, ceramic], torch.zeros(6))
    expected = (alone + probed) / 2
    expected[:, ceramic] = alone[:, ceramic]
    assert torch.allclose(found, expected, atol=1e-4)


def test_seeds_with_a_probe_are_averaged(
    train: list[Photo], config: MakeConfig, tmp_path: Path
) -> None:
    runs = [tmp_path / str(seed) for seed in range(2)]
    networks = [fit(config(probe=True, seed=s), train, run) for s, run in enumerate(runs)]
    mean, _, _ = load_run(*runs)
    one, other = (network.head.weight for network in networks)
    torch.testing.assert_close(mean.head.weight, (one + other) / 2)


def test_stages_of_other_networks_cannot_be_shared(config: MakeConfig) -> None:
    choices = config(backbone="mobilenetv3_small_050", probe=True, freeze_stages=1)
    with pytest.raises(TrainingError, match="EfficientNet"):
        build_network(choices, 3)


def test_a_run_that_stopped_before_its_probe_goes_on(
    train: list[Photo], config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> ProductNetwork:
        raise KeyboardInterrupt

    choices = config(probe=True)
    unbroken = fit(choices, train, tmp_path / "unbroken")
    with monkeypatch.context() as patched:
        patched.setattr("recognizer.training.fit.fit_probe", die)
        with pytest.raises(KeyboardInterrupt):
            fit(choices, train, tmp_path / "run")
    with pytest.raises(TrainingError, match="probe is missing"):
        load_run(tmp_path / "run")
    seen: list[tuple[int, int]] = []
    resumed = fit(choices, train, tmp_path / "run", on_probe=lambda *at: seen.append(at))
    assert seen[-1] == (len(train), len(train))
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    with monkeypatch.context() as patched:
        patched.setattr("recognizer.training.fit.fit_probe", die)
        fit(choices, train, tmp_path / "run")  # a run that has its probe does not fit it again


def test_a_probe_is_a_softmax(config: MakeConfig) -> None:
    with pytest.raises(TrainingError, match="softmax"):
        config(probe=True, loss="sigmoid")
