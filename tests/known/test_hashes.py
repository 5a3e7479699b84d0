from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from recognizer.imaging import perceptual_hash
from recognizer.known import TRANSFORMS
from recognizer.known.hashes import to_bytes, transformed
from tests.pictures import distance, scene


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("way", "name"), list(enumerate(TRANSFORMS)))
def test_the_hash_of_a_turned_picture_can_be_told_without_it(
    seed: int, way: int, name: str
) -> None:
    picture = scene(seed)
    laid = picture if name == "identity" else picture.transpose(Image.Transpose[name.upper()])
    real, hash_ = (perceptual_hash(np.asarray(image)) for image in (laid, picture))
    assert real is not None
    assert hash_ is not None
    estimate = transformed(to_bytes([hash_])[0])[way].tobytes().hex()
    is_exact = name in {"identity", "transpose"}
    assert distance(estimate, real) <= (0 if is_exact else 16)
