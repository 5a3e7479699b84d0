from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recognizer.engine import Recognizer
from recognizer.model.bundle import write_bundle
from recognizer.model.negatives import NegativeBank, write_negatives
from tests.conftest import encoded, picture
from tests.tiny import write_tiny_bundle

NEGATIVE_COLORS = {"red": "ivory_worked", "green": "ceramic", "gray": "listing_other"}
WritePhotos = Callable[..., list[str]]


@pytest.fixture
def write_photos(tmp_path: Path) -> WritePhotos:
    """Writes photos of one colour, each with noise of its own, and returns their paths."""

    def write(color: str, count: int, folder: str = "photos", seed: int = 0) -> list[str]:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        paths = [place / f"{color}_{seed + i}.jpg" for i in range(count)]
        for i, path in enumerate(paths):
            # Sizes and quality differ, as in photos from different places.
            size = (64 + 4 * (i % 3), 48 + 8 * (i % 2))
            path.write_bytes(encoded(picture(color, size, seed + i), quality=80 + i % 10))
        return [str(path) for path in paths]

    return write


@pytest.fixture
def blue(write_photos: WritePhotos) -> list[str]:
    """Three blue photos: a product that the model does not know."""
    return write_photos("blue", 3)


@pytest.fixture(scope="session")
def banked_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with a bank: red is ivory, green and gray are no product; none is blue."""
    folder = write_tiny_bundle(tmp_path_factory.mktemp("banked") / "tiny-v1")
    recognizer = Recognizer.load(folder, threads=1)
    rng = np.random.default_rng(0)
    pictures, labels = [], []
    for color, label in NEGATIVE_COLORS.items():
        for seed in range(60):
            shade = np.asarray(picture(color, (32, 32), 1000 + seed)).astype(float)
            pictures.append(np.clip(shade * rng.uniform(0.7, 1.1), 0, 255).astype(np.uint8))
            labels.append(label)
    log_odds, embeddings = recognizer.features(np.stack(pictures))
    count = len(labels)
    bank = NegativeBank(
        embeddings,
        log_odds,
        np.array(labels),
        np.arange(count, dtype=np.int32) // 4,
        np.arange(count) % 3 > 0,
        rng.integers(0, 1 << 63, count, np.uint64),
        rng.integers(0, 256, (count, 32), np.uint8),
    )
    write_bundle(replace(recognizer.bundle, negatives=write_negatives(folder, bank)))
    return folder
