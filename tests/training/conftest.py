from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

import timm
import torch

from recognizer.dataset.manifest import Photo
from recognizer.training.config import TrainingConfig
from recognizer.training.fit import fit
from recognizer.training.model import ProductNetwork
from tests.labelled import SMALL_RECIPE, deal

TINY_DINOV3 = "vit_tiny_patch16_dinov3_qkvb"
needs_tiny_dinov3 = pytest.mark.skipif(
    TINY_DINOV3 not in timm.list_models(), reason="an older timm has no small DINOv3"
)


def small_config(**changes: object) -> TrainingConfig:
    return TrainingConfig(**{**SMALL_RECIPE, "name": "wildlife", "epochs": 2, **changes})


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Networks this small are slower with more threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def split(labelled_photos: list[Photo]) -> list[Photo]:
    """Four photos of each label to train on, four held out, four to test."""
    return deal(labelled_photos, "train", "validation", "test")


@dataclass(frozen=True)
class FinishedRun:
    """A run of two epochs, the first on smaller pictures, with a frozen stage.

    Tests that change it take a copy. ``network`` is what ``fit`` returned, ``sizes`` are those of
    the pictures of each training step.
    """

    folder: Path
    config: TrainingConfig
    network: ProductNetwork
    sizes: list[tuple[int, int]]


@pytest.fixture(scope="session")
def run(split: list[Photo], tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    # Test photos must not even be opened.
    hidden = [replace(p, path=Path("/nonexistent.jpg")) if p.split == "test" else p for p in split]
    choices = small_config(early_epochs=1, early_size=24, freeze_stages=1, freeze_batch_norm=True)
    folder = tmp_path_factory.mktemp("runs")
    sizes: list[tuple[int, int]] = []
    forward = ProductNetwork.forward

    def note(self: ProductNetwork, images: torch.Tensor) -> object:
        if self.training:
            sizes.append((images.shape[1], images.shape[2]))
        return forward(self, images)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ProductNetwork, "forward", note)
        network = fit(choices, hidden, folder)
    return FinishedRun(folder, choices, network, sizes)
