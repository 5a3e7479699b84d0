from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from recognizer.dataset.manifest import Photo, read_photo
from recognizer.engine import Recognizer
from recognizer.enrolment.onnx_head import Head, add_head
from recognizer.errors import TrainingError
from recognizer.evaluation.figures import Figures, Lookalikes
from recognizer.evaluation.left_out import Unseen
from recognizer.evaluation.metrics import share
from recognizer.imaging import load_image, model_input
from recognizer.model.evidence import TrainingImages
from recognizer.training.export import export_bundle
from recognizer.training.model import build_network
from recognizer.training.onnx_export import ServedNetwork, export_fp32, parity
from recognizer.training.quantization import correct_head, quantize, run_file
from recognizer.training.runs import load_run
from tests.conftest import encoded, picture
from tests.training.conftest import TINY_DINOV3, FinishedRun, needs_tiny_dinov3, small_config

UNSEEN = Unseen(
    sources=("a-museum",),
    negatives=100,
    figures=(
        Figures(
            name="ivory_worked",
            photos=2,
            sources=1,
            average_precision=share(1, 2),
            area_under_roc=share(1, 2),
            recall={0.01: share(1, 2)},
            ranks=(1, 40),
        ),
        Figures(name="bear_parts", photos=1, sources=1),  # no label of that run
    ),
    taught_by={
        "ivory_worked": TrainingImages(rendered=7, patches=8),
        "bear_parts": TrainingImages(),
    },
    lookalikes=Lookalikes(
        family="ivory",
        photos=3,
        accuracy=share(2, 3),
        mean_accuracy=0.5,
        by_label={"ivory": share(2, 3)},
        counts={"ivory": 3},
    ),
    animals={"animal_rhino": 4},
    called_product={"animal_rhino": 1},
)


def test_a_run_becomes_a_bundle_that_the_engine_serves(
    run: FinishedRun, split: list[Photo], tmp_path: Path
) -> None:
    stages: list[str] = []
    unseen = tmp_path / "unseen.jpg"
    unseen.write_bytes(encoded(picture("blue", seed=7777)))
    release = export_bundle(
        *load_run(run.folder),
        split,
        tmp_path / "wildlife-v7",
        averaged=3,
        unseen=[UNSEEN],
        renderings=[replace(split[0], path=unseen, sha256=sha256(unseen.read_bytes()).hexdigest())],
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
    train = {"photos": 4, "sources": 1, "rendered": 0, "patches": 0}
    assert evidence["ivory_worked"]["train"] == train
    assert evidence["ivory_worked"]["test"] == {"photos": 4, "sources": 1}
    assert "rhino_horn" in recognizer.bundle.not_recognized
    card = (release.path / "MODEL_CARD.md").read_text()
    assert "rhino_horn" in card
    assert recognizer.bundle.model.sha256[:16] in card
    assert "| 0 photos, 7 rendered, 8 patches |" in card
    assert "| 1 40 |" in card
    assert "| bear_parts | 1 (1) | 0 photos, 0 rendered, 0 patches |" in card
    assert "a-museum" in card
    assert "Of the 3 photos there of ivory and its look-alikes 66.7 %" in card
    assert "animal_rhino 1 of 4" in card
    assert "- Reddish pieces are missed." in card
    for beside in ("failures.jpg", "sources.csv"):
        assert beside in card
        assert (release.path / beside).is_file()
    assert description["evaluation"]["int8_loses_average_precision"].keys() <= {"ivory_worked"}
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


@pytest.mark.parametrize(
    ("missing", "shown", "words"),
    [("none", "train", "not trained on"), ("test", "none", "a split called test")],
)
def test_failures_that_were_learned_are_not_shown_and_nothing_untested_is_released(
    split: list[Photo], tmp_path: Path, missing: str, shown: str, words: str
) -> None:
    photos = [p for p in split if p.split != missing]
    renderings = [p for p in split if p.split == shown]
    made = (
        build_network(small_config(), 3).eval(),
        small_config(),
        sorted({p.label for p in split}),
    )
    folder = tmp_path / "wildlife-v7"
    with pytest.raises(TrainingError, match=words):
        export_bundle(*made, photos, folder, renderings=renderings)
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
