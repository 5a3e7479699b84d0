from __future__ import annotations

import numpy as np
import pytest

from recognizer.imaging import model_input


@pytest.mark.parametrize("shape", [(1, 1), (2, 5000), (5000, 2), (32, 32), (480, 640), (1, 70_000)])
def test_the_input_is_square_whatever_the_picture(shape: tuple[int, int]) -> None:
    rgb = np.full((*shape, 3), (10, 20, 30), np.uint8)
    found = model_input(rgb, 32)
    assert found.shape == (32, 32, 3)
    assert found.dtype == np.uint8
    assert (found == (10, 20, 30)).all()


def test_nothing_is_cropped_away() -> None:
    rgb = np.zeros((100, 300, 3), np.uint8)
    rgb[:, :20] = 255
    rgb[-20:] = 255
    found = model_input(rgb, 30)
    assert (found[0, 0] == 255).all()
    assert (found[-1, -1] == 255).all()
    assert (found[5, 15] == 0).all()
