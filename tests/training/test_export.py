from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from recognizer.dataset.manifest import Photo, read_photo
from recognizer.engine import Recognizer
from recognizer.enrolment.onnx_head import Head, add_head
from recognizer.errors import TrainingError
from recognizer.imaging import load_image, model_input
from recognizer.training.export import export_bundle
from recognizer.training.model import build_network
from recognizer.training.onnx_export import ServedNetwork, export_fp32, parity
from recognizer.training.quantization import correct_head, quantize, run_file
from recognizer.training.runs import load_run
from tests.training.conftest import TINY_DINOV3, FinishedRun, needs_tiny_dinov3, small_config


def test_a_run_becomes_a_bundle_that_the_engine_serves(
    run: FinishedRun, split: list[Photo], tmp_path: Path
) -> None:
    stages: list[str] = []
    release = export_bundle(
        *load_run(run.folder),
        split,
        tmp_path / "wildlife-v7",
        averaged=3,
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
    train = {"photos": 4, "sources": 1, "patches": 0}
    assert evidence["ivory_worked"]["train"] == train
    assert evidence["ivory_worked"]["test"] == {"photos": 4, "sources": 1}
    assert "rhino_horn" in recognizer.bundle.not_recognized
    card = (release.path / "MODEL_CARD.md").read_text()
    assert "rhino_horn" in card
    assert recognizer.bundle.model.sha256[:16] in card
    assert "- Reddish pieces are missed." in card
    assert "sources.csv" in card
    assert (release.path / "sources.csv").is_file()
    assert description["evaluation"]["int8_ap_drop"].keys() <= {"ivory_worked"}
    _agrees_with_torch(recognizer, run.folder, split, release.precision)


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


def test_nothing_untested_is_released(split: list[Photo], tmp_path: Path) -> None:
    photos = [p for p in split if p.split != "test"]
    made = (
        build_network(small_config(), 3).eval(),
        small_config(),
        sorted({p.label for p in split}),
    )
    folder = tmp_path / "wildlife-v7"
    with pytest.raises(TrainingError, match="a split called test"):
        export_bundle(*made, photos, folder)
    assert not folder.exists()


@pytest.mark.parametrize(
    "choices",
    [
        {"backbone": "tf_efficientnet_lite0", "pooling": "root"},  # as what is released
        {"loss": "sigmoid"},
        {"backbone": "test_resnet", "input_size": 64},
        {"backbone": "test_convnext", "input_size": 64},
        {"backbone": "test_vit"},
        pytest.param({"backbone": TINY_DINOV3}, marks=needs_tiny_dinov3),
        {"backbone": "eva02_tiny_patch14_224", "input_size": 28},
    ],
)
def test_any_network_and_its_files_say_the_same(
    split: list[Photo], tmp_path: Path, choices: dict[str, object]
) -> None:
    config = small_config(**choices)
    torch.manual_seed(0)
    network = build_network(config, 3)
    torch.nn.init.normal_(network.head.weight, std=0.1)
    served = ServedNetwork(network, config.loss, 3).eval()
    size = config.input_size
    inputs = np.stack([model_input(read_photo(p, size), size) for p in split[::3]])
    files = [tmp_path / "fp32.onnx", tmp_path / "int8.onnx"]
    export_fp32(served, size, files[0])
    quantize(*files, inputs)
    correct_head(*files, inputs)
    assert not any(b'.py", line ' in file.read_bytes() for file in files), "a path of this computer"
    for file in files:  # what was exported can be added to
        channels = run_file(file, inputs[:1], "embedding").shape[1]
        add_head(
            file.read_bytes(),
            Head(weight=np.ones(channels, np.float32), bias=0.0),
            labels=3,
            softmax=config.loss == "softmax",
        )
    found = parity(served, *files, inputs)
    assert found.fp32.largest < 1e-4
    assert found.int8.largest < 0.1
