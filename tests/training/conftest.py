from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

from recognizer.training.config import AugmentConfig, TrainingConfig


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
