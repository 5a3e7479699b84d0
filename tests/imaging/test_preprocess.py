from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from recognizer.imaging import load_image, model_input, perceptual_hash
from tests.hostile import encode, photo


def distance(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def hashed(data: bytes) -> str:
    return perceptual_hash(load_image(data).frames[0].rgb)


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


@pytest.mark.parametrize("quality", [95, 75, 50, 30])
def test_the_hash_survives_recompression(quality: int) -> None:
    original = hashed(encode(photo(300, 200), "PNG"))
    assert distance(hashed(encode(photo(300, 200), "JPEG", quality=quality)), original) <= 4


def test_the_hash_survives_resizing() -> None:
    small = photo(600, 400).resize((150, 100), Image.Resampling.BILINEAR)
    assert distance(hashed(encode(small, "PNG")), hashed(encode(photo(600, 400), "PNG"))) <= 4


def test_different_pictures_have_different_hashes() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (9, 9, 3)).astype(np.uint8) for _ in range(8)]
    large = [np.kron(p, np.ones((12, 12, 1), np.uint8)) for p in pictures]
    hashes = [perceptual_hash(p) for p in large]
    assert all(distance(a, b) > 10 for i, a in enumerate(hashes) for b in hashes[:i])


def test_the_hash_has_sixteen_digits() -> None:
    found = perceptual_hash(np.zeros((1, 1, 3), np.uint8))
    assert len(found) == 16
    assert int(found, 16) >= 0
