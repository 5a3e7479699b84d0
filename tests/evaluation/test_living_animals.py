"""Held-out animals are no products, and their patches on ordinary photos are."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recognizer.dataset.manifest import Photo
from recognizer.engine import Recognizer
from recognizer.evaluation.living_animals import measure_patches
from tests.conftest import encoded, picture
from tests.labelled import write_patches


@pytest.fixture
def held(tmp_path: Path) -> list[Photo]:
    """Green animals with a red middle, and blue listings."""

    def photo(label: str, image: Image.Image, number: int) -> Photo:
        data = encoded(image, quality=95)
        path = tmp_path / f"{label}-{number}.jpg"
        path.write_bytes(data)
        return Photo(path, sha256(data).hexdigest(), label, "zoo", "validation")

    found = []
    for number in range(4):
        animal = np.array(picture("green", (200, 200), seed=number))
        animal[60:140, 60:140] = np.array(picture("red", (80, 80), seed=number))
        found.append(photo("animal_elephant", Image.fromarray(animal), number))
        found.append(photo("listing_other", picture("blue", (200, 150), seed=number), number))
    return found


def test_the_material_is_found_and_the_animal_is_not(
    recognizer: Recognizer, held: list[Photo], tmp_path: Path
) -> None:
    animals = [p.sha256 for p in held if p.label == "animal_elephant"]
    outlined = dict.fromkeys(animals[:3], "ivory_worked") | {animals[3]: "rhino_horn"}
    table = write_patches(tmp_path / "patches.csv", outlined)
    (found,) = measure_patches(recognizer, held, table)  # the tiny bundle knows no rhino horn
    assert (found.product, found.photos, found.patches) == ("ivory_worked", 3, 3)
    assert found.called_product.value == 0
    assert found.called_animal.value == 0  # nor any animal
    assert found.found_without.value == 0
    assert found.found.value > 0.1  # where it is laid large enough
    assert found == measure_patches(recognizer, held, table)[0]


def test_without_patches_or_anything_to_lay_them_on_nothing_is_said(
    recognizer: Recognizer, held: list[Photo], tmp_path: Path
) -> None:
    table = write_patches(tmp_path / "patches.csv", {held[0].sha256: "ivory_worked"})
    animals = [p for p in held if p.label == "animal_elephant"]
    assert measure_patches(recognizer, animals, table) == ()
    others = [replace(p, label="listing_other") for p in held]
    assert measure_patches(recognizer, others, table) == ()
