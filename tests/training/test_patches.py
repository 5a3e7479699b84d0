"""A patch of a living animal stands for a product; the animal itself never does."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.dataset.manifest import Photo
from recognizer.dataset.splits import prepare
from recognizer.taxonomy import Kind, load_taxonomy
from recognizer.training.config import AugmentConfig, TrainingConfig
from recognizer.training.loader import TrainingPhotos, find_masks
from tests.labelled import write_patches

GREEN, RED, BLUE = (30, 190, 30), (210, 30, 30), (30, 30, 210)
TABLE = Path(__file__).parents[2] / "datasets" / "patches.csv"

living = st.lists(
    st.tuples(
        st.sampled_from(["animal_pangolin", "animal_rhino", "animal_elephant"]),
        st.sampled_from(["zoo", "park", "synthetic/zoo"]),
        st.sampled_from(["train", "train", "validation", "test"]),
    ),
    min_size=1,
    max_size=40,
)


@given(rows=living, share=st.floats(0.0, 0.5), data=st.data())
def test_patches_leave_the_animals_alone(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str]],
    share: float,
    data: st.DataObject,
) -> None:
    photos = [Photo(Path(f"{i}.jpg"), f"{i:064x}", *row) for i, row in enumerate(rows)]
    products = st.sampled_from(["rhino_horn", "pangolin_scales", "ivory_raw"])
    outlined = data.draw(
        st.dictionaries(st.sampled_from([p.sha256 for p in photos]), products, max_size=12)
    )
    table = write_patches(tmp_path_factory.getbasetemp() / "some.csv", outlined)
    plain = prepare(photos, TrainingConfig(validation_share=share))
    found = prepare(photos, TrainingConfig(validation_share=share, patches=str(table)))
    assert found[: len(photos)] == plain
    assert [(p.sha256, p.label) for p in plain] == [(p.sha256, p.label) for p in photos]
    taught = {p.sha256 for p in plain if p.split == "train" and p.is_evidence}
    added = found[len(photos) :]
    assert {p.sha256 for p in added} == taught & set(outlined)
    assert all(p.is_patch and p.split == "train" and p.label == outlined[p.sha256] for p in added)
    assert not any(p.is_evidence for p in added)


@pytest.fixture
def zoo(tmp_path: Path) -> list[Photo]:
    """A green animal with a red horn, the horn as a patch, and blue pictures to lay it on."""

    def save(name: str, color: tuple[int, int, int], horn: bool) -> Path:
        rgb = np.full((80, 80, 3), color, np.uint8)
        if horn:
            rgb[24:56, 24:56] = RED
        path = tmp_path / name
        cv2.imwrite(str(path), rgb[..., ::-1])
        return path

    animal = Photo(save("a.png", GREEN, True), "a" * 64, "animal_rhino", "zoo", "train")
    sky = Photo(save("b.png", BLUE, False), "b" * 64, "listing_other", "sky", "train")
    table = write_patches(tmp_path / "patches.csv", {animal.sha256: "rhino_horn"})
    return prepare([animal, sky], TrainingConfig(validation_share=0.0, patches=str(table)))


def test_training_sees_the_animal_as_an_animal_and_its_horn_without_it(
    zoo: list[Photo], config: Callable[..., TrainingConfig]
) -> None:
    calm = AugmentConfig(
        background=1.0, canvas=0, rotate=0, color=0, gray=0, blur=0, downscale=0, jpeg=0, noise=0,
        watermark=0, erase=0,
    )  # fmt: skip
    labels = sorted({p.label for p in zoo})
    dataset = TrainingPhotos(
        zoo, labels, config(augment=calm), 0, [None, None, *find_masks(zoo[2:], 32)]
    )
    seen = dict.fromkeys(labels, 0)
    for rgb, target in (dataset[i] for i in range(len(dataset))):
        picture = rgb.numpy().astype(int)
        green, red = (
            float((np.abs(picture - color).max(axis=-1) < 60).mean()) for color in (GREEN, RED)
        )
        label = labels[target]
        seen[label] += 1
        assert (green > 0.2) == (label == "animal_rhino")
        assert label != "rhino_horn" or red > 0.005
        assert label != "listing_other" or red == 0
    assert min(seen.values()) > 0


def test_the_table_of_the_repository_teaches_products_alone() -> None:
    kinds = load_taxonomy().labels
    with TABLE.open(newline="", encoding="utf-8") as file:
        labels = {row["label"] for row in csv.DictReader(file)}
    assert labels
    assert all(kinds[label].kind is Kind.PRODUCT for label in labels)
