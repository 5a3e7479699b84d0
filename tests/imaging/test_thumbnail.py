"""A heat-map is a line around what counts, and nothing that does not."""

import numpy as np

from recognizer.imaging.thumbnail import draw_heatmap


def drawn(peak: float, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """What is left bright, and what is of the line's colour, over a hot place in a corner."""
    heat = np.full((10, 10), 0.3 * peak, np.float32)
    heat[:5, :5] = peak
    shown = draw_heatmap(np.full((200, 400, 3), 200, np.uint8), heat, threshold)
    return (shown == 200).all(axis=2), (shown == (255, 214, 0)).all(axis=2)


def test_the_line_is_at_half_of_the_maximum_and_not_under_the_threshold() -> None:
    bright, line = drawn(0.9, 0.1)  # all of it is over the threshold
    assert bright[20:80, 20:160].all()
    assert not bright[120:].any()
    assert not bright[:, 240:].any()
    assert line[:, 160:240].any(axis=1)[20:80].all()  # between the hot place and the rest
    assert not np.any(drawn(0.5, 0.6))
