"""Profiles and transparency: when an image is scored in more than one way, and when it is not."""

import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw

from recognizer.imaging import color, load_image
from recognizer.status import Reason, Status
from tests.imaging import corpus
from tests.imaging.profiles import RAMP, inverted, matrix, srgb
from tests.pictures import encoded, scene


def drawn(fill: tuple[int, int, int, int], *shadow: tuple[int, int, int, int]) -> Image.Image:
    """A shape with a smooth edge and perhaps a soft shadow, on nothing."""
    image = Image.new("RGBA", (1200, 900))
    draw = ImageDraw.Draw(image)
    for color_of in shadow:
        draw.ellipse((300, 500, 1000, 800), fill=color_of)
    draw.ellipse((200, 100, 900, 700), fill=fill)
    return image.reduce(4)


def dithered() -> Image.Image:
    """White, and opaque or not, pixel by pixel."""
    gray = scene(3, (300, 225)).convert("1")
    image = Image.new("RGBA", gray.size, "white")
    image.putalpha(gray.convert("L"))
    return image


@pytest.mark.parametrize(
    ("image", "ways"),
    [
        (corpus.cut_out, 1),
        (lambda: drawn((120, 80, 40, 255)), 1),
        (lambda: drawn((120, 80, 40, 255), (0, 0, 0, 90)), 1),
        (lambda: scene(1).convert("RGBA"), 1),
        (lambda: drawn((255, 250, 245, 255)), 2),
        (lambda: drawn((120, 80, 40, 120)), 2),
        (corpus.on_black, 2),
        (dithered, 2),
    ],
    ids=["cut out", "smooth edge", "shadow", "opaque", "white", "glass", "alpha", "dither"],
)
@pytest.mark.parametrize("side", [0, 64])
def test_black_is_tried_where_white_hides(
    image: Callable[[], Image.Image], ways: int, side: int
) -> None:
    found = load_image(encoded(image(), "PNG"), min_side=side)
    assert (found.status, len(found.frames)) == (Status.OK, ways)
    assert {frame.index for frame in found.frames} == {0}
    on_white = Image.new("RGBA", image().size, "white")
    on_white.alpha_composite(image())
    plain = load_image(encoded(on_white.convert("RGB"), "PNG"), min_side=side)
    assert np.abs(found.frames[0].rgb.astype(int) - plain.frames[0].rgb).max() <= 2


def test_a_profile_of_srgb_is_none() -> None:
    assert {color.of_profile(srgb()), color.of_gamma(0.45455), color.of_code(1, 13)} == {None}


def test_a_profile_may_have_255_parts() -> None:
    profile = inverted()
    data = encoded(corpus.scene(), "JPEG", quality=95)
    size = -(-len(profile) // 255)
    parts = [profile[at : at + size] for at in range(0, len(profile), size)]
    for number, part in reversed(list(enumerate(parts, 1))):
        data = corpus.segment(data, 0xE2, b"ICC_PROFILE\0" + bytes([number, len(parts)]) + part)
    shown = load_image(data).frames[0].rgb
    assert np.array_equal(shown, load_image(corpus.CASES["jpeg inverted"]()).frames[0].rgb)


def test_a_profile_that_shifts_colors_a_little_gives_one_way() -> None:
    image = Image.fromarray(np.full((64, 64, 3), (180, 120, 90), np.uint8))
    (frame,) = load_image(corpus.png(corpus.cicp(12, 13, 0, 1), image=image)).frames  # Display P3
    assert frame.rgb[0, 0, 0] > 185


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "gamma"])
def test_a_pattern_cannot_hide_in_colors_that_are_bent(kind: str) -> None:
    """Gray, and pixels of black and white: as light they are not alike, as numbers they are."""
    pixels = np.full((256, 256), 128, np.uint8)
    pixels[:, 128:] = np.indices((256, 128)).sum(0) % 2 * 255
    options = {"quality": 100, "lossless": True, "icc_profile": matrix(*[RAMP] * 3)}
    image = Image.fromarray(pixels).convert("RGB")
    plain = corpus.png(corpus.gamma(1.0), image=image)
    data = plain if kind == "gamma" else encoded(image, kind, **options)
    for side in (0, 32):
        shown = [frame.rgb.astype(int) for frame in load_image(data, min_side=side).frames]
        middle = shown[0].shape[1] // 2
        assert max(abs(s[:, :middle].mean() - s[:, middle:].mean()) for s in shown) > 50


@pytest.mark.parametrize("name", ["jpeg cmyk profile of light", "png srgb, gamma 1"])
def test_what_firefox_alone_heeds_is_scored_too(name: str) -> None:
    assert len(load_image(corpus.CASES[name]()).frames) == 2


def bad_profiles() -> dict[str, bytes]:
    tags = struct.pack(">I", 0xFFFFFFFF)
    return {
        "noise": np.random.default_rng(0).bytes(3000),
        "endless tags": inverted()[:128] + tags + inverted()[132:],
        "of a named color": inverted()[:16] + b"Lab " + inverted()[20:],
    }


@pytest.mark.parametrize("name", bad_profiles())
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_profile_that_cannot_be_used_is_said(name: str, kind: str) -> None:
    image = load_image(encoded(corpus.scene(), kind, icc_profile=bad_profiles()[name]))
    assert (image.status, image.reason) == (Status.DEGRADED, Reason.CORRUPT_HEADER)
    assert "profile" in str(image.detail)
    assert len(image.frames) == 1
