from __future__ import annotations

import numpy as np
import pytest

from recognizer.imaging.thumbnail import draw_heatmap


@pytest.mark.parametrize("threshold", [0.05, 0.4, 0.95])
def test_colours_compare_a_place_with_the_threshold(threshold: float) -> None:
    rgb = np.full((8, 8, 3), 200, np.uint8)

    def color_at(heat: float) -> np.ndarray:
        drawn = draw_heatmap(rgb, np.full((2, 2), heat, np.float32), threshold)
        assert drawn.shape == rgb.shape
        assert drawn.dtype == np.uint8
        return drawn[4, 4].astype(int)

    for heat in (0.0, 0.25 * threshold, 0.5 * threshold):
        assert np.ptp(color_at(heat)) == 0  # in shades of grey
    at, above = color_at(threshold), color_at((1 + threshold) / 2)
    assert np.ptp(at) > 60
    assert above.sum() > at.sum()  # brighter


def test_a_threshold_at_either_end_is_drawn_too() -> None:
    rgb = np.zeros((8, 8, 3), np.uint8)
    for threshold in (0.0, 1.0):
        draw_heatmap(rgb, np.eye(2, dtype=np.float32), threshold)
