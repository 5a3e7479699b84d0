from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recognizer.lab.training.config import TrainingConfig
from recognizer.lab.training.runs import open_recipe, train_recipe
from tests.labelled import SMALL_RECIPE, deal


def small_config(**changes):
    return TrainingConfig(**{**SMALL_RECIPE, "name": "wildlife", **changes})


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Networks this small are slower with more threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def split(labelled_photos):
    """Eight photos of each label, of two sources, to train on, and four of a third to test."""
    return deal(labelled_photos, "train", "train", "test", sources=("a", "b", "c"))


@pytest.fixture(scope="session")
def trained(split, tmp_path_factory):
    """A recipe of two folds that was trained; tests that change it take a copy."""
    # Test photos must not even be opened.
    hidden = [replace(p, path=Path("/nonexistent.jpg")) if p.split == "test" else p for p in split]
    folder = tmp_path_factory.mktemp("runs")
    config = small_config(folds=2, freeze_stages=1)
    train_recipe(open_recipe(config, hidden, folder))
    return open_recipe(config, split, folder)
