"""Profiles and transparency: the colors that are scored."""

import struct

import numpy as np
import pytest
from PIL import Image

from recognizer.imaging import load_image
from recognizer.imaging.color import conversion_of
from recognizer.status import Reason, Status
from tests.imaging import corpus
from tests.imaging.profiles import RAMP, inverted, matrix, srgb
from tests.pictures import encoded, scene


@pytest.mark.parametrize(
    "image", [corpus.cut_out, corpus.on_black, lambda: scene(1).convert("RGBA")]
)
@pytest.mark.parametrize("side", [0, 64])
def test_alpha_is_on_white(image, side):
    on_white = Image.new("RGBA", image().size, "white")
    on_white.alpha_composite(image())
    shown, plain = (
        load_image(encoded(one, "PNG"), min_side=side).frames[0].rgb.astype(int)
        for one in (image(), on_white.convert("RGB"))
    )
    assert np.abs(shown - plain).max() <= 2


def test_a_profile_of_srgb_is_none():
    assert {conversion_of(srgb()), conversion_of(matrix(*[RAMP**2.2] * 3))} == {None}


def test_a_profile_may_have_255_parts():
    profile = inverted()
    data = encoded(corpus.scene(), "JPEG", quality=95)
    size = -(-len(profile) // 255)
    parts = [profile[at : at + size] for at in range(0, len(profile), size)]
    for number, part in reversed(list(enumerate(parts, 1))):
        data = corpus.segment(data, 0xE2, b"ICC_PROFILE\0" + bytes([number, len(parts)]) + part)
    shown = load_image(data).frames[0].rgb
    assert np.array_equal(shown, load_image(corpus.CASES["jpeg inverted"]()).frames[0].rgb)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_pattern_cannot_hide_in_colors_that_are_bent(kind):
    """Gray, and pixels of black and white: as light they are not alike, as numbers they are."""
    pixels = np.full((256, 256), 128, np.uint8)
    pixels[:, 128:] = np.indices((256, 128)).sum(0) % 2 * 255
    options = {"quality": 100, "lossless": True, "icc_profile": matrix(*[RAMP] * 3)}
    image = Image.fromarray(pixels).convert("RGB")
    for side in (0, 32):
        shown = load_image(encoded(image, kind, **options), min_side=side).frames[0].rgb
        middle = shown.shape[1] // 2
        assert abs(shown[:, :middle].mean() - shown[:, middle:].mean()) > 50


def bad_profiles():
    tags = struct.pack(">I", 0xFFFFFFFF)
    return {
        "noise": np.random.default_rng(0).bytes(3000),
        "endless tags": inverted()[:128] + tags + inverted()[132:],
        "of a named color": inverted()[:16] + b"Lab " + inverted()[20:],
    }


@pytest.mark.parametrize("name", bad_profiles())
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_profile_that_cannot_be_used_is_said(name, kind):
    image = load_image(encoded(corpus.scene(), kind, icc_profile=bad_profiles()[name]))
    assert (image.status, image.reason) == (Status.DEGRADED, Reason.CORRUPT_HEADER)
    assert "profile" in str(image.detail)
    assert len(image.frames) == 1
