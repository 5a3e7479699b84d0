from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.dataset.manifest import Photo
from recognizer.dataset.splits import prepare
from recognizer.training.config import AugmentConfig, TrainingConfig
from recognizer.training.loader import TrainingPhotos, draw, drawing_weights, find_masks
from tests.dataset.test_splits import labelled, photo
from tests.labelled import write_patches
from tests.training.conftest import small_config


@given(labelled, st.floats(0, 1), st.floats(0, 1))
def test_drawing_weights_are_a_distribution_that_favours_rare_labels(
    rows: list[tuple[str, str, str]], label_power: float, source_power: float
) -> None:
    photos = [photo(i, *row) for i, row in enumerate(rows)]
    weights = drawing_weights(photos, label_power, source_power)
    assert weights.min() > 0
    assert weights.sum() == pytest.approx(1)
    counts = Counter(p.label for p in photos)
    share = {n: sum(weights[i] for i, p in enumerate(photos) if p.label == n) for n in counts}
    for one in counts:
        for other in counts:
            ratio = (counts[one] / counts[other]) ** label_power
            assert share[one] / share[other] == pytest.approx(ratio)


def test_label_weights_multiply() -> None:
    photos = [photo(0, "wood"), photo(1, "ceramic")]
    assert drawing_weights(photos, 1, 1, {"wood": 3.0}) == pytest.approx(np.array([0.75, 0.25]))


GREEN, RED, BLUE = (30, 190, 30), (210, 30, 30), (30, 30, 210)


@pytest.fixture
def zoo(tmp_path: Path) -> list[Photo]:
    """A green animal with a red horn, the horn as a patch, and blue pictures to lay it on."""

    def save(name: str, color: tuple[int, int, int], horn: bool) -> Path:
        rgb = np.full((80, 80, 3), color, np.uint8)
        if horn:
            rgb[24:56, 24:56] = RED
        path = tmp_path / name
        cv2.imwrite(str(path), rgb[..., ::-1])
        return path

    animal = Photo(save("a.png", GREEN, True), "a" * 64, "animal_rhino", "zoo", "train")
    sky = Photo(save("b.png", BLUE, False), "b" * 64, "listing_other", "sky", "train")
    table = write_patches(tmp_path / "patches.csv", {animal.sha256: "rhino_horn"})
    return prepare([animal, sky], TrainingConfig(validation_share=0.0, patches=str(table)))


def test_training_sees_the_animal_as_an_animal_and_its_horn_without_it(zoo: list[Photo]) -> None:
    calm = AugmentConfig(
        background=1.0, canvas=0, rotate=0, color=0, gray=0, blur=0, downscale=0, jpeg=0, noise=0,
        watermark=0, erase=0,
    )  # fmt: skip
    labels = sorted({p.label for p in zoo})
    dataset = TrainingPhotos(
        zoo, labels, small_config(augment=calm), 0, [None, None, *find_masks(zoo[2:], 32)]
    )
    seen = dict.fromkeys(labels, 0)
    for rgb, target, _ in (dataset[i] for i in range(len(dataset))):
        picture = rgb.numpy().astype(int)
        green, red = (
            float((np.abs(picture - color).max(axis=-1) < 60).mean()) for color in (GREEN, RED)
        )
        label = labels[target]
        seen[label] += 1
        assert (green > 0.2) == (label == "animal_rhino")
        assert label != "rhino_horn" or red > 0.005
        assert label != "listing_other" or red == 0
    assert min(seen.values()) > 0


def test_every_photo_is_drawn_about_as_often_as_it_should() -> None:
    weights = np.array([0.5, 0.25, 0.125, 0.125])
    counts = np.bincount(draw(weights, 100, np.random.default_rng(0)), minlength=4)
    assert abs(counts - 100 * weights).max() <= 1


def test_epochs_differ_and_repeat(split: list[Photo]) -> None:
    train = [p for p in split if p.split == "train"]
    labels = sorted({p.label for p in train})
    masks = find_masks(train, 32)

    def epoch(number: int) -> list[np.ndarray]:
        dataset = TrainingPhotos(train, labels, small_config(), number, masks)
        return [dataset[i][0].numpy() for i in range(4)]

    assert all((a == b).all() for a, b in zip(epoch(0), epoch(0), strict=True))
    assert any((a != b).any() for a, b in zip(epoch(0), epoch(1), strict=True))
