from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="the extra `train` is not installed")

from recognizer.dataset.manifest import Photo
from recognizer.evaluation.card import UNSTATED, count_licenses, write_sources
from recognizer.evaluation.figures import Truth, measure_living_animals
from tests.labelled import photo


def test_living_animals_taken_for_products() -> None:
    labels = ["animal_rhino", "rhino_horn", "animal_rhino", "animal_pangolin", "wood"]
    best = ["rhino_horn", "rhino_horn", "animal_rhino", "wood", "rhino_horn"]  # wood: no product
    truth = Truth.of([photo(i, label) for i, label in enumerate(labels)])
    pangolin, rhino = sorted(
        measure_living_animals(truth, best, [True, True, True, False, True]), key=lambda a: a.name
    )
    assert (pangolin.name, pangolin.photos) == ("animal_pangolin", 1)
    assert pangolin.called_product.value == 0
    assert (rhino.photos, rhino.called_product.value, rhino.flagged.value) == (2, 0.5, 1.0)
    assert rhino.called_product.low < 0.5 < rhino.called_product.high
    assert measure_living_animals(Truth.of([photo(0, "wood")]), ["wood"], [False]) == ()


def test_licenses_are_told_as_they_were_found(tmp_path: Path) -> None:
    one = Photo(tmp_path / "a.jpg", "a", "wood", "shop", "train", license="CC0")
    photos = [one, replace(one, source="museum", split="test"), replace(one, license="")]
    counts = count_licenses(photos)
    assert list(counts.items()) == [("CC0", (2, 2)), (UNSTATED, (1, 1))]
    write_sources(photos, tmp_path / "sources.csv")
    with (tmp_path / "sources.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["source"] for row in rows] == ["museum", "shop"]
    shop = {"source": "shop", "photos": "2", "splits": "train", "labels": "wood"}
    assert rows[1] == shop | {"licenses": f"CC0; {UNSTATED}"}
