"""How a file is stored must not tell what it shows."""

import numpy as np
import pytest
from PIL import Image

from recognizer.lab.dataset.manifest import Photo
from recognizer.lab.dataset.shortcuts import MAX_AUC, measure_shortcuts
from tests.pictures import encoded


def photos_of(folder, product, other):
    """Forty photos with a product and forty without, of ten sources each, stored as told."""
    rng, found = np.random.default_rng(0), []
    for i in range(80):
        how = dict(product if i % 2 else other)
        side = how.pop("side", 64) + int(rng.integers(0, 5))
        noise = rng.integers(0, 256, (side, side + int(rng.integers(0, 40)), 3), np.uint8)
        path = folder / f"{i}.jpg"
        path.write_bytes(encoded(Image.fromarray(noise), **how))
        label, kind = ("ivory_raw", "p") if i % 2 else ("wood", "o")
        found.append(Photo(path, "", label, f"{kind}{i // 8}", "train"))
    return found


@pytest.mark.parametrize(
    ("product", "name"),
    [
        ({"side": 90}, "size"),
        ({"format": "PNG"}, "format"),
        ({"quality": 60}, "JPEG tables"),
        ({"quality": 60}, "bytes per pixel"),
    ],
)
def test_what_betrays_products_is_named(tmp_path, product, name):
    found = {s.name: s for s in measure_shortcuts(photos_of(tmp_path, product, {}))}
    assert found[name].auc > 0.95
    assert found["all of these"].auc > 0.95
    assert found["aspect"].auc < MAX_AUC + 0.1


def test_alike_files_tell_nothing_and_few_are_not_measured(tmp_path):
    photos = photos_of(tmp_path, {}, {})
    found = {s.name: s.auc for s in measure_shortcuts(photos)}
    assert found["format"] == found["JPEG tables"] == 0.5
    assert measure_shortcuts(photos[:30]) == ()
