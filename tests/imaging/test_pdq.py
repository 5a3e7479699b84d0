import numpy as np
import pytest
from PIL import Image

from recognizer.imaging import load_image, perceptual_hash
from recognizer.prediction import MAX_DISTANCE
from tests.hostile import encode
from tests.pictures import distance, scene

# What the published implementation (pdqhash 0.2.8) says of 64 x 64 pictures, for which it does
# not blur, so that it has to be met to the bit.
PUBLISHED = {
    0: "3883b3cd3fe6c570756a31ceb217abf4b2dd458987c8765964748e144d2741b2",
    1: "2279f039d859b94faf17e336037702e1e3791e7151d661541cee889d83cf0f82",
    2: "f00cf35b28832d8f7d0663438fe587856dd3e5f244e06de5087c5a789cfa9093",
}


def hashed(image: Image.Image, format: str = "PNG", **options: object) -> str:  # noqa: A002
    found = perceptual_hash(load_image(encode(image, format, **options)).frames[0].rgb)
    assert found is not None
    return found


@pytest.mark.parametrize(("seed", "expected"), PUBLISHED.items())
def test_it_is_the_published_hash(seed, expected):
    assert perceptual_hash(np.asarray(scene(seed, (64, 64)))) == expected


@pytest.mark.parametrize("seed", range(10))
def test_a_small_crop_recompressed_and_reduced(seed):
    original = scene(seed)
    width, height = original.size
    cropped = original.crop((width // 100, height // 100, width * 99 // 100, height * 99 // 100))
    small = cropped.resize((width // 2, height // 2), Image.Resampling.BILINEAR)
    assert distance(hashed(small, "JPEG", quality=60), hashed(original)) <= MAX_DISTANCE


@pytest.mark.parametrize(
    "rgb",
    [
        np.zeros((1, 1, 3), np.uint8),
        np.full((300, 200, 3), 255, np.uint8),
        np.random.default_rng(0).integers(250, 256, (200, 300, 3)).astype(np.uint8),
        np.tile(np.linspace(0, 80, 300)[:, None, None], (1, 200, 3)).astype(np.uint8),
    ],
    ids=["one pixel", "white", "noise on white", "a faint gradient"],
)
def test_a_blank_picture_has_no_hash(rgb):
    assert perceptual_hash(rgb) is None
