from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from msgspec.structs import replace

from recognizer.lab.dataset.manifest import Photo
from recognizer.lab.training import edits
from recognizer.lab.training.augment import _LAYOUT, OVERLAYS, Augmentation
from recognizer.lab.training.config import SHARES, AugmentConfig

SHAPES = [(264, 350), (32, 32), (20, 400), (60, 80)]
PHOTOS = [
    Photo(Path(), str(i), label, "a", "train")
    for i, label in enumerate(["ivory_worked", "ceramic", "listing_other", "ivory_worked"])
]
NONE = AugmentConfig(identity_prob=0, canvas_prob=0, min_crop=1, shares=dict.fromkeys(SHARES, 0.0))


def augmentation(config):
    rng = np.random.default_rng(0)
    rgb = {
        p.sha256: rng.integers(0, 256, (*shape, 3), np.uint8)
        for p, shape in zip(PHOTOS, SHAPES, strict=True)
    }
    for picture in rgb.values():
        picture.flags.writeable = False  # as the cache's
    cache = SimpleNamespace(rgb=rgb.__getitem__)
    return Augmentation(config, 48, PHOTOS, cache)


@pytest.mark.parametrize(
    "config",
    [
        AugmentConfig(),
        AugmentConfig(identity_prob=1),
        AugmentConfig(identity_prob=0, canvas_prob=1),
        AugmentConfig(identity_prob=0, shares=dict.fromkeys(SHARES, 1.0)),
        *(replace(NONE, shares={**NONE.shares, name: 1.0}) for name in _LAYOUT),
    ],
)
def test_edits_keep_type_and_range_and_depend_on_the_generator_alone(config):
    change = augmentation(config)
    for photo in PHOTOS:
        for seed in range(8):
            found = change(photo, np.random.default_rng(seed))
            assert (found.shape, found.dtype) == ((48, 48, 3), np.uint8)
            assert (found == change(photo, np.random.default_rng(seed))).all()
        assert (found != change(photo, np.random.default_rng(99))).any()


EDITS = (edits.frame, edits.screenshot, *OVERLAYS.values())


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
@pytest.mark.parametrize("shape", [(256, 256), (60, 200), (200, 60), (8, 8)])
def test_an_edit_changes_a_copy(edit, shape):
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    rgb.flags.writeable = False
    changed = 0
    for seed in range(8):
        found = edit(rgb, np.random.default_rng(seed))
        assert (found.dtype, found.ndim, found.shape[2]) == (np.uint8, 3, 3)
        assert (found == edit(rgb, np.random.default_rng(seed))).all()
        changed += found.shape != rgb.shape or bool((found != rgb).any())
    assert changed > 4


@pytest.mark.parametrize("shape", edits.LAYOUTS)
def test_a_collage_shows_all_its_photos(shape):
    count = shape[0] * shape[1]
    cells = [np.full((30 + i, 50, 3), 20 * (i + 1), np.uint8) for i in range(count)]
    for seed in range(5):
        seen = {*np.unique(edits.collage(cells, shape, np.random.default_rng(seed))).tolist()}
        assert {20 * (i + 1) for i in range(count)} <= seen
