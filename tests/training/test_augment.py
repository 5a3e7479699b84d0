from __future__ import annotations

import numpy as np
import pytest

from recognizer.dataset.alterations import plain_backdrop
from recognizer.dataset.cutout import cut_out, find_object
from recognizer.training.augment import Augmentation
from recognizer.training.config import AugmentConfig
from tests.dataset.test_cutout import studio


@pytest.mark.parametrize("shape", [(264, 350), (32, 32), (20, 400)])
def test_changes_keep_type_and_range(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (*shape, 3), np.uint8)
    before = rgb.copy()
    result = Augmentation(AugmentConfig(), 48, plain_backdrop)(rgb, rng)
    assert (result.shape, result.dtype) == ((48, 48, 3), np.uint8)
    assert (rgb == before).all()


def test_a_photo_may_be_left_nearly_as_it_is() -> None:
    chain = Augmentation(AugmentConfig(), 48, plain_backdrop)
    rgb = np.full((60, 80, 3), 120, np.uint8)
    made = [chain.gently(rgb, np.random.default_rng(seed)) for seed in range(20)]
    assert all((one.shape, one.dtype) == ((48, 48, 3), np.uint8) for one in made)
    assert all(np.ptp(one, axis=(0, 1)).max() == 0 for one in made)
    assert {80 < float(one.mean()) < 170 for one in made} == {True}
    assert len({one.tobytes() for one in made}) > 5


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
