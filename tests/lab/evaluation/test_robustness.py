import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from recognizer.engine import Recognizer
from recognizer.intervals import share
from recognizer.lab.dataset.manifest import Photo
from recognizer.lab.evaluation.robustness import (
    ALTERATIONS,
    UNALTERED,
    AlteredFigures,
    alter,
    measure_robustness,
)
from tests.conftest import encoded, invoke, refuse, succeed
from tests.labelled import write_manifest_of

GRAY, RED, GREEN, BLUE = (200, 200, 200), (230, 20, 20), (20, 230, 20), (20, 20, 230)


def disc(
    color: tuple[int, int, int], paper: tuple[int, int, int], seed: int, radius: int = 62
) -> np.ndarray:
    """A disc on paper. For the tiny bundle ivory is red, wherever in the picture the red is."""
    rng = np.random.default_rng(seed)
    picture = np.full((160, 160, 3), paper, np.uint8)
    cv2.circle(picture, (80, 80), radius, color, -1)
    noise = rng.integers(-3, 4, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


Make = Callable[..., list[Photo]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes photos: label -> its pictures."""

    def make(**pictures: list[np.ndarray]) -> list[Photo]:
        photos = []
        for label, members in pictures.items():
            for i, picture in enumerate(members):
                data = encoded(Image.fromarray(picture), "PNG")
                path = tmp_path / f"{label}{i}.png"
                path.write_bytes(data)
                sha256 = hashlib.sha256(data).hexdigest()
                photos.append(Photo(path, sha256, label, f"s{i}", "test"))
        return photos

    return make


def outcomes(recognizer: Recognizer, photos: list[Photo], name: str) -> list[AlteredFigures]:
    found = measure_robustness(recognizer, photos, "test").outcomes["ivory"]
    return [one for one in found if one.alteration == name]


def test_scores_and_false_positives_follow_what_is_in_the_photo(
    recognizer: Recognizer, make: Make
) -> None:
    """Half of a collage is red, if the other half is: the tiny bundle takes red for ivory."""
    photos = make(
        ivory_worked=[disc(RED, GRAY, i) for i in range(4)],
        ceramic=[disc(GREEN, GRAY, i, 30) for i in range(20)],
    )
    collages = outcomes(recognizer, photos, "collage")
    assert [one.negatives for one in collages] == [20, 20]
    assert collages[1].recall.value <= collages[0].recall.value
    (unaltered,) = outcomes(recognizer, photos, "unaltered")
    assert (unaltered.recall, unaltered.false_positive_rate) == (share(4, 4), share(0, 20))
    assert outcomes(recognizer, photos, "rotation")[2].recall.value == 1


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (200, 3), (120, 90)])
@pytest.mark.parametrize("alteration", ALTERATIONS, ids=": ".join)
def test_pictures_of_any_shape_stay_pictures(
    shape: tuple[int, int], alteration: tuple[str, str]
) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (*shape, 3), np.uint8)
    before = rgb.copy()
    found = alter(*alteration, rgb, lambda _: rgb[:1], rng)
    assert (found.dtype, found.ndim) == (np.uint8, 3)
    assert found.size > 0
    assert (rgb == before).all()


def test_the_command_prints(recognizer: Recognizer, make: Make, tmp_path: Path) -> None:
    """The score rests on the object, so it survives mild changes."""
    ordinary = make(
        ivory_worked=[disc(RED, GRAY, i) for i in range(6)],
        ceramic=[disc(GREEN, GRAY, i) for i in range(6)],
        listing_other=[disc(BLUE, (30, 30, 30), i) for i in range(6)],
    )
    write_manifest_of(tmp_path, ordinary)
    verb = ("evaluate", recognizer.bundle.path, "-d", tmp_path, "--split", "test", "--robustness")
    done = succeed(*verb)
    assert "quality 20" in done.stdout
    found = json.loads(invoke(*verb, "--json").stdout)
    rows = {(o["alteration"], o["strength"]): o for o in found["outcomes"]["ivory"]}
    assert tuple(rows) == (UNALTERED, *ALTERATIONS)
    for mild in (UNALTERED, ("recompression", "quality 50"), ("rotation", "90 degrees")):
        assert (rows[mild]["positives"], rows[mild]["negatives"]) == (6, 12)
        assert rows[mild]["recall"]["value"] == 1
    write_manifest_of(tmp_path, ordinary[:6])
    refused = refuse(*verb)
    assert "without a product" in refused.stderr
