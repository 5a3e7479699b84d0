"""Where the weights of a backbone come from, and what is said where they do not."""

from pathlib import Path
from unittest.mock import Mock

import cv2
import huggingface_hub
import msgspec
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from recognizer.engine import Recognizer
from recognizer.errors import TrainingError
from recognizer.imaging import load_image, model_input
from recognizer.lab.training import weights
from recognizer.lab.training.model import build_network
from recognizer.lab.training.weights import LEARNED, build_backbone, earlier_head, read_parent
from recognizer.model.bundle import load_bundle
from tests.lab.training.conftest import small_config

SAMPLES = Path(__file__).parents[3] / "datasets" / "samples"


def test_a_local_file_is_loaded(tmp_path):
    torch.manual_seed(7)
    theirs = timm.create_model("test_efficientnet").state_dict()  # with a classifier
    file = tmp_path / "model.safetensors"
    save_file({n: v for n, v in theirs.items() if "num_batches_tracked" not in n}, file)
    for name, value in build_backbone(small_config(weights=str(file))).named_parameters():
        torch.testing.assert_close(value, theirs[name])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.safetensors", "'missing.safetensors': No such file"),
        ("{folder}/other.safetensors", r"lack \d+ of .* are they of another backbone"),
        ("imagnet", "the folder of a bundle, or the path of a safetensors file"),
        ("model.pth", "the folder of a bundle, or the path of a safetensors file"),
    ],
)
def test_what_is_no_source_of_weights_is_named(tmp_path, name, words):
    save_file({"conv.weight": torch.zeros(3, 3)}, tmp_path / "other.safetensors")
    given = name.format(folder=tmp_path)
    with pytest.raises(TrainingError, match=words):
        build_network(small_config(weights=given), 3)


def test_a_released_bundle_gives_its_weights():
    bundle = load_bundle()
    recipe, given = bundle.training.recipe, str(bundle.path)
    size = recipe["input_size"]
    own = {key: recipe[key] for key in ("backbone", "pooling")}
    config = small_config(weights=given, input_size=size, **own)
    assert len(read_parent(config).tensors[LEARNED]) >= bundle.training.photos
    network, recognizer = build_network(config, 3).eval(), Recognizer(bundle)
    files = sorted(SAMPLES.glob("*.jpg"))[:3]
    assert files
    for file in files:
        rgb = load_image(file, min_side=bundle.input.size).frames[0].rgb
        small = cv2.resize(model_input(rgb, bundle.input.size), (size, size))
        images = torch.from_numpy(small)[None]
        with torch.no_grad():
            found = network(images).embedding[0].numpy()
        assert np.corrcoef(found, recognizer.embed(file))[0, 1] > 0.99
    # Its head serves too: on photos that reach no ensemble it says what the bundle says.
    start = earlier_head(config, [*bundle.label_names, "my_label"])
    assert start.known.tolist() == [True] * len(bundle.labels) + [False]
    logits = torch.from_numpy(recognizer.embed(files[0])) @ start.weight.T + start.bias
    scores = recognizer.predict(files[0]).scores
    assert bundle.label_names[logits[:-1].argmax()] == max(scores, key=scores.__getitem__)
    assert earlier_head(config, ["my_label"]) is None
    assert earlier_head(msgspec.structs.replace(config, pooling="mean"), ["ceramic"]) is None
    words = f"backbone={bundle.model.backbone} and input_size={size},"
    with pytest.raises(TrainingError, match=words):
        build_network(small_config(weights=given), 3)


def test_without_a_network_the_hub_is_asked_once_and_fails_in_a_sentence(tmp_path, monkeypatch):
    asked = Mock(side_effect=OSError("the network is unreachable"))
    monkeypatch.setattr(huggingface_hub, "get_session", lambda: Mock(head=asked))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(TrainingError, match=r"could not be fetched .*fetched on another machine"):
        build_backbone(small_config(weights="imagenet"))
    assert [call.kwargs["timeout"] for call in asked.mock_calls] == [weights._HUB_SECONDS]
