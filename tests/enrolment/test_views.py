from __future__ import annotations

import numpy as np
import pytest

from recognizer.enrolment.views import make_views
from recognizer.imaging import model_input
from tests.conftest import picture


def rgb(size: tuple[int, int] = (90, 60)) -> np.ndarray:
    ramp = np.asarray(picture("gray", size)).copy()
    ramp[20:40, 10:50] = (230, 200, 150)
    return ramp


def test_the_first_views_are_the_photo_and_its_mirror_image() -> None:
    views = make_views(rgb(), 6, 32, np.random.default_rng(0))
    assert views.shape == (6, 32, 32, 3)
    assert views.dtype == np.uint8
    assert (views[0] == model_input(rgb(), 32)).all()
    assert (views[1] == views[0][:, ::-1]).all()
    assert len({view.tobytes() for view in views}) == 6


def test_the_same_seed_gives_the_same_views() -> None:
    first, again = (make_views(rgb(), 8, 32, np.random.default_rng(3)) for _ in range(2))
    assert (first == again).all()


def test_one_view_is_the_photo() -> None:
    assert (make_views(rgb(), 1, 32, np.random.default_rng(0))[0] == model_input(rgb(), 32)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5), (2000, 30)])
def test_any_size_can_be_changed(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    assert make_views(pixels, 30, 32, np.random.default_rng(1)).shape == (30, 32, 32, 3)
