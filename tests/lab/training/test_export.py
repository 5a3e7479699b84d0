import json
from dataclasses import replace
from unittest.mock import Mock

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from recognizer.engine import Recognizer
from recognizer.errors import TrainingError
from recognizer.imaging import load_image, model_input
from recognizer.imaging.regions import Parts
from recognizer.lab.dataset.manifest import read_photo, taxonomy_of
from recognizer.lab.enrolment.onnx_head import Head, add_head
from recognizer.lab.evaluation.calibrate import calibrated, uncalibrated
from recognizer.lab.evaluation.learned import count_learned, short_digests
from recognizer.lab.training import export as module
from recognizer.lab.training.export import export_bundle
from recognizer.lab.training.model import Outputs, build_network, log_odds_of, torch_log_odds
from recognizer.lab.training.onnx_export import export_fp32, parity
from recognizer.lab.training.quantization import quantize, run_file
from recognizer.lab.training.runs import answers, finished_network, fold_network
from recognizer.lab.training.weights import LEARNED, describe_network
from recognizer.model.bundle import load_bundle
from recognizer.model.description import InputFormat, ModelFile
from tests.lab.training.conftest import small_config


def test_a_recipe_becomes_a_bundle_that_the_engine_serves(trained, tmp_path, bundle, monkeypatch):
    stages = list[tuple[object, ...]]()
    release = export_bundle(
        trained,
        tmp_path / "wildlife-v7",
        notes="- Reddish pieces are missed.",
        rounds=20,
        on_stage=lambda *stage: stages.append(stage),
    )
    assert "exporting to ONNX" in [words for words, *_ in stages]
    recognizer = Recognizer.load(release.path)
    assert recognizer.bundle.title == "wildlife-v7"
    description = json.loads((release.path / "bundle.json").read_text())
    assert description.get("license") is None
    assert description["parity"]["fp32"]["largest"] < 1e-4
    assert description["training"]["photos"] == 24
    assert description["calibration"]["photos"] == 24
    evidence = {e["name"]: e["evidence"] for e in description["labels"]}
    assert evidence["ivory_worked"]["train"] == {"photos": 8, "sources": 2}
    assert evidence["ivory_worked"]["test"] == {"photos": 4, "sources": 1}
    assert "rhino_horn" in recognizer.bundle.not_recognized
    card = (release.path / "MODEL_CARD.md").read_text()
    assert "| licence | not stated |" in card
    for words in ("rhino_horn", "- Reddish pieces are missed.", "global average pooling"):
        assert words in card
    assert recognizer.bundle.model.sha256[:16] in card
    assert "What int8 loses was\nnot measured" in card
    assert release.precision == "fp32"  # as it was not measured
    assert "started from" not in card
    assert "chosen" not in card
    about = describe_network(trained.config, trained.labels)
    learned = torch.from_numpy(short_digests(p.sha256 for p in trained.photos[:20]).view(np.int64))
    save_file({LEARNED: learned}, tmp_path / "v1.safetensors", about)
    config = msgspec.structs.replace(trained.config, weights=str(tmp_path / "v1.safetensors"))
    begun = replace(trained, config=config)
    recipe = {**recognizer.bundle.training.recipe, "weights": config.weights}
    training = replace(recognizer.bundle.training, recipe=recipe)
    module.write_card(replace(recognizer.bundle, training=training), begun, release, "")
    card = (release.path / "MODEL_CARD.md").read_text()
    counts = [sum(p.split == split for p in trained.photos[:20]) for split in ("train", "test")]
    assert f"which had learned from {counts[0]} of the training photos and {counts[1]} of" in card
    assert f"had learned from {counts[1]} of these photos: the figures are better" in card
    assert f"had learned from {counts[0]} of these photos, also of those in the fold" in card
    assert count_learned(load_bundle(release.path), trained.photos) == 24
    assert (release.path / "sources.csv").is_file()
    assert release.unseen.photos == 24
    # Golden reference: from file bytes, the engine and torch say the same.
    network = finished_network(trained)
    assert tuple(trained.labels) == recognizer.labels
    size, tolerance = trained.config.input_size, 1e-4 if release.precision == "fp32" else 0.1
    for photo in trained.photos[::6]:
        rgb = load_image(photo.path, min_side=size).frames[0].rgb
        with torch.no_grad():
            logits = network(torch.from_numpy(model_input(rgb, size))[None]).logits
        expected = recognizer.bundle.calibrate(log_odds_of(logits).numpy()[0])
        found = recognizer.predict(photo.path).scores
        assert [found[n] for n in trained.labels] == pytest.approx(expected, abs=tolerance)


def test_parts_are_lowered_until_they_add_few_false_leads(trained, monkeypatch):
    held, taxonomy = answers(trained), taxonomy_of(trained.photos)
    size = InputFormat(size=trained.config.input_size, preprocessing=2)
    model = {"path": trained.folder, "name": "x", "version": 1, "model": ModelFile(sha256="0" * 64)}
    draft = uncalibrated(trained.labels, taxonomy, input=size, activation="softmax", **model)
    draft = calibrated(draft, held.log_odds, held.photos)
    monkeypatch.setattr(module, "find_parts", lambda _: Parts())
    assert module._shift_of_parts(draft, trained, held) == 0
    # In each photo without a product, a part that looks more like one than any whole photo.
    monkeypatch.setattr(module, "find_parts", lambda _: Parts(((0, 0, 40, 40),)))
    logits = torch.tensor([[4.0 * (name in draft.products) for name in trained.labels]])
    network = Mock(side_effect=lambda x: Outputs(logits.repeat(len(x), 1), logits, logits))
    monkeypatch.setattr(module, "fold_network", lambda *_: network)
    shift = module._shift_of_parts(draft, trained, held)
    assert network.call_count == sum(not p.is_product for p in held.photos)
    before, after = (
        draft.family_scores(draft.calibrate(log_odds_of(logits).numpy(), of)).max()
        for of in (shift - 0.1, shift)
    )
    assert after <= draft.any_product_thresholds[0.01] < before
    # A score at the threshold, and not over it, makes no lead, as in `decide`.
    exactly = {**draft.any_product_thresholds, 0.01: before}
    at_it = replace(draft, any_product_thresholds=exactly)
    assert module._shift_of_parts(at_it, trained, held) == pytest.approx(shift - 0.1)


def test_nothing_untested_is_released(trained, tmp_path):
    folder = tmp_path / "wildlife-v7"
    with pytest.raises(TrainingError, match="a split called test"):
        export_bundle(replace(trained, photos=trained.train), folder)
    with pytest.raises(TrainingError, match="give the same training command again"):
        export_bundle(replace(trained, folder=tmp_path), folder)
    with pytest.raises(TrainingError, match=r"fold-0/checkpoint\.pt is gone: put it back"):
        fold_network(replace(trained, folder=tmp_path), 0)
    assert not folder.exists()


@pytest.mark.parametrize(
    "choices",
    [
        {"backbone": "tf_efficientnet_lite0", "pooling": "sqrt_mean"},  # as what is released
        {"backbone": "test_efficientnet", "input_size": 64},
    ],
)
def test_any_network_and_its_files_say_the_same(split, tmp_path, choices):
    config = small_config(**choices)
    torch.manual_seed(0)
    network = build_network(config, 3).eval()
    torch.nn.init.normal_(network.head.weight, std=0.1)
    size = config.input_size
    inputs = np.stack([model_input(read_photo(p, size), size) for p in split[::3]])
    files = [tmp_path / "fp32.onnx", tmp_path / "int8.onnx"]
    export_fp32(network, size, files[0])
    quantize(*files, inputs)
    assert not any(b'.py", line ' in file.read_bytes() for file in files), "a path of this computer"
    for file in files:  # what was exported can be added to
        channels = run_file(file, inputs[:1], "embedding").shape[1]
        head = Head(weight=np.ones(channels, np.float32), bias=0.0)
        add_head(file.read_bytes(), head, labels=3, softmax=True)
    said = torch_log_odds(network, inputs)
    found = parity(said, *files, inputs)
    assert found.fp32.largest < 1e-4
    assert found.int8.largest < 0.1
