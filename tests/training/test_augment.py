import numpy as np
import pytest

from recognizer.training.augment import Augmentation
from recognizer.training.config import AugmentConfig


@pytest.mark.parametrize("shape", [(264, 350), (32, 32), (20, 400), (60, 80)])
@pytest.mark.parametrize(
    "config",
    [
        AugmentConfig(),
        AugmentConfig(identity_prob=1),
        AugmentConfig(identity_prob=0, min_crop=0.1, damage=8),
    ],
)
def test_changes_keep_type_and_range_and_depend_on_the_generator_alone(
    config: AugmentConfig, shape: tuple[int, int]
) -> None:
    change = Augmentation(config, 48)
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    rgb.flags.writeable = False  # as the cache's
    for seed in range(20):
        found = change(rgb, np.random.default_rng(seed))
        assert (found.shape, found.dtype) == ((48, 48, 3), np.uint8)
        assert (found == change(rgb, np.random.default_rng(seed))).all()
    assert (found != change(rgb, np.random.default_rng(99))).any()
