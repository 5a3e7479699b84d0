import re

import pytest

from recognizer.errors import TrainingError
from recognizer.lab.training.config import load_config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("photos = -1", "train.toml: Expected `int` >= 0 - at `$.photos`"),
        ("photo = 3", "train.toml: unknown key 'photo' (did you mean photos?)"),
        ("augment = 3", "Expected `table`, got `int` - at `$.augment`"),
        ("pooling = 'root'", "Invalid enum value 'root' - at `$.pooling`"),
        ("folds = 0", "Expected `int` >= 2 - at `$.folds`"),
        ("[augment]\nmincrop = 0.5", "unknown key 'mincrop' (did you mean min_crop?)"),
        ("distill = 0.5", "distill needs ensemble.backbones"),
        ("photos =", "Invalid value"),
    ],
)
def test_mistakes_are_named(tmp_path, text, words):
    path = tmp_path / "train.toml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=re.escape(words)):
        load_config(path)


def test_keys_are_changed_on_the_command_line():
    weights = "weights=some/model.safetensors"
    changes = ["seed=3", "augment.shares.hue = 0.5", weights, 'device="cpu"']
    found = load_config("small-cpu", changes)
    assert (found.seed, found.weights, found.device) == (3, "some/model.safetensors", "cpu")
    assert (found.augment.shares, found.augment.identity_prob) == ({"hue": 0.5}, 0.5)
    for change, words in (
        ("seed", "--set seed: write KEY=VALUE"),
        ("epoch=3", "--set epoch=3: unknown key 'epoch'"),
        ("photo=3", "--set photo=3: unknown key 'photo' (did you mean photos?)"),
        ("augment.shares.hues=1", "unknown edit 'hues' (did you mean hue?)"),
        ("device=tpu", "Invalid enum value 'tpu' - at `$.device`; one of auto, cpu, cuda, mps"),
    ):
        with pytest.raises(TrainingError, match=re.escape(words)):
            load_config("small-cpu", [change])
    with pytest.raises(TrainingError, match="no recipe 'dinov9': give a TOML file, or one of: "):
        load_config("dinov9")
