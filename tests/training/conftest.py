from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

from recognizer.dataset.manifest import Photo, load_photos
from recognizer.training.config import AugmentConfig, TrainingConfig
from tests.conftest import encoded, picture

COLOR_OF = {"ivory_worked": "red", "ceramic": "green", "listing_other": "blue"}


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Photo]:
    """Photos of one colour for each label, as a folder for each label gives them."""
    root = tmp_path_factory.mktemp("labelled")
    for label, color in COLOR_OF.items():
        (root / label).mkdir()
        for i in range(12):
            data = encoded(picture(color, seed=i + 100 * len(label)))
            (root / label / f"{i:02}.jpg").write_bytes(data)
    return load_photos(root)


@pytest.fixture
def config() -> Callable[..., TrainingConfig]:
    """Makes the smallest configuration that still trains a real network."""

    def make(**changes: object) -> TrainingConfig:
        values: dict[str, object] = {
            "backbone": "test_efficientnet",
            "weights": "none",
            "input_size": 32,
            "epochs": 2,
            "photos_per_epoch": 16,
            "batch_size": 8,
            "workers": 0,
            "device": "cpu",
            "augment": AugmentConfig(),
        }
        return TrainingConfig(**{**values, **changes})  # type: ignore[arg-type]

    return make


def write_manifest(folder: Path, rows: list[dict[str, str]]) -> None:
    columns = ["sha256", "file", "label", "source", "split", "subtype"]
    lines = [",".join(columns)] + [",".join(row.get(c, "") for c in columns) for row in rows]
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
