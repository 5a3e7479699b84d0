from __future__ import annotations

import cv2
import numpy as np
import pytest

from recognizer.dataset.alterations import (
    lose_resolution,
    plain_backdrop,
    put_object,
    put_photo,
    write_across,
)
from recognizer.dataset.compose import cut_out
from recognizer.dataset.cutout import find_object
from recognizer.training.augment import Augmentation
from recognizer.training.config import AugmentConfig


def studio(background: tuple[int, int, int] = (200, 200, 200), noise: int = 2) -> np.ndarray:
    """A dark red disc on even paper with a gradient."""
    rng = np.random.default_rng(0)
    picture = np.full((240, 320, 3), background, np.int16)
    picture += np.linspace(-15, 15, 320).astype(np.int16)[None, :, None]
    picture += rng.integers(-noise, noise + 1, picture.shape, np.int16)
    image = np.clip(picture, 0, 255).astype(np.uint8)
    cv2.circle(image, (150, 130), 60, (140, 30, 30), -1)
    return image


@pytest.mark.parametrize("background", [(200, 200, 200), (20, 20, 25), (250, 250, 250)])
def test_an_object_on_paper_is_found(background: tuple[int, int, int]) -> None:
    mask = find_object(studio(background))
    assert mask is not None
    truth = np.zeros((240, 320), np.uint8)
    cv2.circle(truth, (150, 130), 60, 255, -1)
    truth = cv2.resize(truth, mask.shape[::-1], interpolation=cv2.INTER_NEAREST)
    both, either = (mask & truth > 0).sum(), (mask | truth > 0).sum()
    assert both / either > 0.9


def test_nothing_is_guessed_before_a_busy_background() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    assert find_object(cv2.blur(noise, (9, 9)) * 2) is None


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 2), (240, 320)])
def test_empty_paper_has_no_object(shape: tuple[int, int]) -> None:
    assert find_object(np.full((*shape, 3), 128, np.uint8)) is None


def test_the_object_survives_and_the_paper_does_not() -> None:
    picture, backdrop = studio(), np.full((200, 200, 3), (0, 255, 0), np.uint8)
    mask = find_object(picture)
    assert mask is not None
    result = put_object(picture, mask, backdrop, np.random.default_rng(0)).astype(int)
    red = (result[..., 0] > 100) & (result[..., 1] < 80)
    paper = (abs(result - 200) < 20).all(axis=-1)
    assert red.mean() > 0.05
    assert paper.mean() < 0.01
    assert (result == (0, 255, 0)).all(axis=-1).mean() > 0.2


@pytest.mark.parametrize("shape", [(264, 350), (32, 32), (20, 400)])
@pytest.mark.parametrize("change", [put_photo, write_across, lose_resolution, None])
def test_changes_keep_type_and_range(shape: tuple[int, int], change: object) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (*shape, 3), np.uint8)
    before = rgb.copy()
    if change is put_photo:
        result = put_photo(rgb, plain_backdrop(rng), rng)
    elif change is None:
        chain = Augmentation(AugmentConfig(), 48, plain_backdrop)
        result = chain(rgb, rng)
        assert result.shape == (48, 48, 3)
    else:
        result = change(rgb, rng)  # type: ignore[operator]
    assert result.dtype == np.uint8
    assert (rgb == before).all()


def test_the_same_generator_gives_the_same_picture_whatever_torch_did_before() -> None:
    torch = pytest.importorskip("torch")
    chain = Augmentation(AugmentConfig(), 48, plain_backdrop)
    rgb = studio()
    mask = find_object(rgb)
    assert mask is not None
    first = chain(rgb, np.random.default_rng(5), [cut_out(rgb, mask)])
    state = torch.random.get_rng_state()
    torch.rand(10)
    second = chain(rgb, np.random.default_rng(5), [cut_out(rgb, mask)])
    assert (first == second).all()
    assert (chain(rgb, np.random.default_rng(6)) != first).any()
    torch.random.set_rng_state(state)
