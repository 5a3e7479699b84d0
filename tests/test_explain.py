from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from recognizer.engine import Recognizer, local_probability
from recognizer.errors import UsageError
from recognizer.model.bundle import Bundle
from tests.conftest import encoded
from tests.hostile import exif


def red_at(box: tuple[int, int, int, int], size: tuple[int, int] = (64, 64)) -> Image.Image:
    """A blue picture with a red object."""
    image = Image.new("RGB", size, (20, 20, 230))
    image.paste((230, 20, 20), box)
    return image


def hit(box: tuple[int, int, int, int], point: tuple[float, float]) -> bool:
    return box[0] <= point[0] < box[2] and box[1] <= point[1] < box[3]


CASES: dict[str, Callable[[Image.Image], bytes]] = {
    "png": lambda im: encoded(im, "PNG"),
    "jpeg": lambda im: encoded(im, "JPEG", quality=95),
    "turned": lambda im: encoded(
        im.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif(6)
    ),
    "mirrored": lambda im: encoded(
        im.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "PNG", exif=exif(2)
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((64, 64), (32, 0, 64, 32)),
        ((640, 320), (0, 160, 320, 320)),  # reduced
        ((300, 1200), (150, 600, 300, 900)),
    ],
)
def test_the_box_is_around_the_red_object(
    case: str,
    size: tuple[int, int],
    box: tuple[int, int, int, int],
    recognizer: Recognizer,
) -> None:
    explanation = recognizer.explain(CASES[case](red_at(box, size)))
    prediction = explanation.prediction
    assert (prediction.width, prediction.height) == size
    assert explanation.label == "ivory_worked"
    assert explanation.heatmap.shape == (4, 4)
    assert explanation.heatmap.dtype == np.float32
    row, column = np.unravel_index(explanation.heatmap.argmax(), (4, 4))
    assert hit(box, ((column + 0.5) * size[0] / 4, (row + 0.5) * size[1] / 4))
    (region,) = explanation.regions
    assert prediction.regions == explanation.regions
    assert region.score > 0.9
    # It covers the object, and goes no further than a cell of the map beyond.
    for side, (found, true) in enumerate(zip(region.box, box, strict=True)):
        assert abs(found - true) <= size[side % 2] / 8 + 1
    assert 0 <= region.box[0] < region.box[2] <= size[0]
    assert 0 <= region.box[1] < region.box[3] <= size[1]
    # The picture that comes along has the same proportions, upright.
    high, wide = explanation.rgb.shape[:2]
    assert wide / high == pytest.approx(size[0] / size[1], rel=0.02)
    middle = explanation.rgb[
        (box[1] + box[3]) * high // (2 * size[1]), (box[0] + box[2]) * wide // (2 * size[0])
    ]
    assert middle[0] > 200 > middle[2]


def test_two_objects_are_two_regions(recognizer: Recognizer) -> None:
    image = red_at((0, 0, 16, 16))
    image.paste((230, 20, 20), (48, 48, 64, 64))
    regions = recognizer.explain(encoded(image, "PNG")).regions
    assert len(regions) == 2
    assert [r.score for r in regions] == sorted((r.score for r in regions), reverse=True)


def test_any_label_can_be_explained(recognizer: Recognizer) -> None:
    explanation = recognizer.explain(encoded(red_at((32, 0, 64, 64)), "PNG"), "listing_other")
    assert explanation.label == "listing_other"
    assert explanation.regions[0].box[0] == 0
    with pytest.raises(UsageError, match="ceramic"):
        recognizer.explain(b"", "unicorn_horn")


def test_a_softmax_map_is_a_probability_at_each_place(bundle: Bundle) -> None:
    """As the released model has it."""
    maps = np.random.default_rng(0).normal(0, 50, (4, 3, 5)).astype(np.float32)
    found = local_probability(maps, replace(bundle, activation="softmax"))
    assert np.allclose(found.sum(axis=0), 1)
