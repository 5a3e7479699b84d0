from __future__ import annotations

import io
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recognizer.model.bundle import load_bundle, write_bundle
from recognizer.model.self_test import (
    TOLERANCE,
    self_test,
    self_test_images,
    with_self_test,
)


def test_the_images_have_the_same_pixels_everywhere() -> None:
    pixels = [np.asarray(Image.open(io.BytesIO(file))) for file in self_test_images()]
    assert [sha256(image.tobytes()).hexdigest()[:12] for image in pixels] == [
        "eb5cebb6aaa1",
        "595cf5772a75",
    ]


def test_a_model_says_what_was_recorded_of_it(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    assert self_test(bundle) is None
    tested = with_self_test(bundle)
    assert tested.digest == bundle.digest
    assert self_test(tested) == pytest.approx(0, abs=1e-4)
    assert tested.self_test is not None
    write_bundle(replace(tested, path=tmp_path))
    assert load_bundle(tmp_path).self_test == tested.self_test


def test_the_released_model_gives_its_recorded_scores() -> None:
    difference = self_test(load_bundle())
    assert difference is not None
    assert difference <= TOLERANCE
