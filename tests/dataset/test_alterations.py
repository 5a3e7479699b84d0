"""The alterations of pictures that training draws and the test of robustness sets."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from recognizer.dataset import alterations as alter
from recognizer.dataset.cutout import find_object
from tests.dataset.test_cutout import studio


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (200, 3), (120, 90)])
@pytest.mark.parametrize(
    "change",
    [
        lambda rgb, rng: alter.recompress(rgb, 10),
        alter.lose_resolution,
        lambda rgb, rng: alter.lose_resolution(rgb, rng, (0.25, 0.25)),
        lambda rgb, rng: alter.crop(rgb, 0.4, rng),
        lambda rgb, rng: alter.turn(rgb, 30),
        lambda rgb, rng: alter.turn(rgb, 90),
        lambda rgb, rng: alter.blur(rgb, 0.02),
        lambda rgb, rng: alter.screenshot(rgb, 0.4, rng),
        lambda rgb, rng: alter.collage(rgb, [rgb[:1]] * 3, rng),
        lambda rgb, rng: alter.swap_background(rgb, np.full((2, 2), 255, np.uint8), rgb[:1]),
        alter.write_across,
    ],
)
def test_pictures_of_any_shape_stay_pictures(
    shape: tuple[int, int], change: Callable[..., np.ndarray]
) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (*shape, 3), np.uint8)
    before = rgb.copy()
    found = change(rgb, rng)
    assert found.dtype == np.uint8
    assert found.ndim == 3
    assert found.size > 0
    assert (rgb == before).all()


@pytest.mark.parametrize("shape", [(264, 350), (32, 32), (20, 400)])
def test_a_photo_on_another_picture_keeps_type_and_range(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (*shape, 3), np.uint8)
    before = rgb.copy()
    assert alter.put_photo(rgb, alter.plain_backdrop(rng), rng).dtype == np.uint8
    assert (rgb == before).all()


def test_the_object_survives_and_the_paper_does_not() -> None:
    picture, backdrop = studio(), np.full((200, 200, 3), (0, 255, 0), np.uint8)
    mask = find_object(picture)
    result = alter.put_object(picture, mask, backdrop, np.random.default_rng(0)).astype(int)
    red = (result[..., 0] > 100) & (result[..., 1] < 80)
    paper = (abs(result - 200) < 20).all(axis=-1)
    assert red.mean() > 0.05
    assert paper.mean() < 0.01
    assert (result == (0, 255, 0)).all(axis=-1).mean() > 0.2


def test_only_the_background_is_swapped() -> None:
    picture = studio()
    mask = np.zeros((240, 320), np.uint8)
    cv2.circle(mask, (150, 130), 60, 255, -1)
    found = alter.swap_background(picture, mask, np.full((9, 5, 3), (0, 255, 0), np.uint8))
    assert (found[110:150, 130:170] == picture[110:150, 130:170]).all()
    assert (found[:10, :10] == (0, 255, 0)).all()
