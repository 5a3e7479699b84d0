from __future__ import annotations

from pathlib import Path

import pytest

from recognizer.errors import TrainingError
from recognizer.training.config import TrainingConfig, config_from_dict, load_config

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "export" / "recipes").glob("*.toml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda p: p.stem)
def test_the_recipes_of_the_repository_load_and_survive_the_round_trip(recipe: Path) -> None:
    config = load_config(recipe)
    assert config_from_dict(config.to_dict()) == config


def test_an_empty_file_is_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").touch()
    assert load_config(tmp_path / "empty.toml") == TrainingConfig()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("photos = -1", "photos = -1: at least 0"),
        ("photos = '3'", "photos = '3' is of the wrong type"),
        ("photos = true", "wrong type"),
        ("photo = 3", "unknown key 'photo'"),
        ("augment = 3", "augment is a table"),
        ("precision = 'int8'", "one of auto, fp32, bf16"),
        ("pooling = 'root'", "one of mean, sqrt_mean"),
        ("folds = 1", "folds = 1: 0, or at least 2"),
        ("folds = 1.5", "folds = 1.5 is of the wrong type"),
        ("seeds = 0", "seeds = 0: at least 1"),
        ("layer_decay = 0.0", "layer_decay = 0.0: above 0"),
        ("average_weight = 1.5", "average_weight = 1.5: from 0 to 1"),
        ("[augment]\ntext_prob = 2", "augment.text_prob = 2: from 0 to 1"),
        ("[augment]\njpg = 0.5", "unknown key 'jpg'"),
        ("photos =", "Invalid value"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "train.toml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=words):
        load_config(path)
