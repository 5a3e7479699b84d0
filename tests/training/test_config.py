from __future__ import annotations

from pathlib import Path

import pytest

from recognizer.errors import TrainingError
from recognizer.training.config import TrainingConfig, config_from_dict, load_config

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "export").glob("*/*.toml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_the_recipes_of_the_repository_load_and_survive_the_round_trip(recipe: Path) -> None:
    config = load_config(recipe)
    assert config_from_dict(config.to_dict()) == config


def test_what_earlier_recipes_switched_off_is_no_mistake_nor_is_an_empty_file(
    tmp_path: Path,
) -> None:
    earlier = {"probe": False, "probe_weight": 0.5, "augment": {"recast": 0.0, "relight": 0.0}}
    assert config_from_dict(earlier) == TrainingConfig()
    (tmp_path / "empty.toml").touch()
    assert load_config(tmp_path / "empty.toml") == TrainingConfig()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs = 0", "epochs = 0: at least 1"),
        ("epochs = '3'", "epochs = '3' is of the wrong type"),
        ("epochs = true", "wrong type"),
        ("epochs = 3\nearly_epochs = 3", "early_epochs = 3: from 0 to below epochs"),
        ("early_size = 0", "early_size = 0: at least 1"),
        ("epoch = 3", "unknown key 'epoch'"),
        ("probe = true", "probe = true is no longer supported .*wildlife-v3.* version 0.1.0"),
        ("[augment]\nrelight = 0.2", "relight = 0.2 is no longer supported .* with version 0.1.0"),
        ("augment = 3", "augment is a table"),
        ("loss = 'hinge'", "one of softmax, sigmoid"),
        ("precision = 'int8'", "one of auto, fp32, bf16, fp16"),
        ("batch_size = 32\naccumulate = 3\ndevices = 2", "a multiple of .* which is 6"),
        ("frozen = true\ndevices = 2", "frozen uses one"),
        ("layer_decay = 0.0", "layer_decay = 0.0: above 0"),
        ("ema_decay = 1.0", "from 0 to below 1"),
        ("[augment]\njpeg = 2", "augment.jpeg = 2: from 0 to 1"),
        ("[augment]\njpg = 0.5", "unknown key 'jpg'"),
        ("epochs =", "Invalid value"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "train.toml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=words):
        load_config(path)
