"""Scenes of cut-out objects."""

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizer.dataset.compose import compose, several
from recognizer.dataset.cutout import Cutout, cut_out

RED, GREEN = (220, 20, 20), (20, 200, 20)


def disc(color: tuple[int, int, int] = RED, side: int = 60) -> Cutout:
    rgb = np.full((side, side, 3), 255, np.uint8)
    mask = np.zeros((side, side), np.uint8)
    for picture, value in ((rgb, color), (mask, 255)):
        cv2.circle(picture, (side // 2, side // 2), side // 3, value, cv2.FILLED)
    return cut_out(rgb, mask)


def share_of(picture: np.ndarray, color: tuple[int, int, int]) -> float:
    return float((np.abs(picture.astype(int) - color).max(axis=-1) < 12).mean())


def test_a_cutout_is_as_large_as_its_object() -> None:
    cutout = disc()
    assert cutout.rgb.shape[:2] == cutout.opacity.shape
    assert all(40 <= side <= 50 for side in cutout.opacity.shape)


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
    again = compose(backdrop, [disc()] * count, [disc(GREEN)] * others, np.random.default_rng(seed))
    assert (picture == again).all()


def test_no_background_comes_along() -> None:
    backdrop = np.zeros((200, 200, 3), np.uint8)
    picture = compose(backdrop, [disc()] * 5, [], np.random.default_rng(0))
    assert (picture.min(axis=-1) > 100).mean() < 0.01  # white paper was all around it


def test_several_draws_more_of_the_kind_and_copes_without() -> None:
    first, second = disc(), disc(GREEN)
    counts = set()
    for seed in range(60):
        found = several(first, lambda: second, 8, np.random.default_rng(seed))
        assert found[0] is first
        assert 2 <= len(found) <= 8
        counts.add(len(found))
    assert len(counts) > 4
    alone = several(first, lambda: None, 8, np.random.default_rng(0))
    assert all(one is first for one in alone)
