"""Objects are cut out, and put into scenes."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizer.lab.dataset.compose import compose
from recognizer.lab.dataset.cutout import Cutout, cut_out, find_object

RED, GREEN = (220, 20, 20), (20, 200, 20)


def disc(color: tuple[int, int, int] = RED, side: int = 60) -> Cutout:
    rgb = np.full((side, side, 3), 255, np.uint8)
    mask = np.zeros((side, side), np.uint8)
    for picture, value in ((rgb, color), (mask, 255)):
        cv2.circle(picture, (side // 2, side // 2), side // 3, value, cv2.FILLED)
    return cut_out(rgb, mask)


def share_of(picture: np.ndarray, color: tuple[int, int, int]) -> float:
    return float((np.abs(picture.astype(int) - color).max(axis=-1) < 12).mean())


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 16),
    others=st.integers(0, 3),
    height=st.integers(24, 300),
    width=st.integers(24, 300),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_subject_is_always_to_be_seen(
    count: int, others: int, height: int, width: int, seed: int
) -> None:
    backdrop = np.full((height, width, 3), 90, np.uint8)
    rng = np.random.default_rng(seed)
    picture = compose(backdrop, [disc()] * count, [disc(GREEN)] * others, rng)
    assert picture.shape == backdrop.shape
    assert (backdrop == 90).all()
    assert share_of(picture, RED) > 0.0015
    assert share_of(picture, (255, 255, 255)) < 0.01, "white paper was all around the objects"
    again = compose(backdrop, [disc()] * count, [disc(GREEN)] * others, np.random.default_rng(seed))
    assert (picture == again).all()


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
