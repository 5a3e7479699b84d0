from __future__ import annotations

import cv2
import numpy as np
import pytest

from recognizer.dataset.cutout import find_object


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
