import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cleanlab", reason="the extra `train` is not installed")

from recognizer.engine import Recognizer
from recognizer.errors import DatasetError
from recognizer.lab.dataset.manifest import Photo, load_data
from recognizer.lab.dataset.suspects import find_suspects
from tests.conftest import encoded, picture, refuse, succeed
from tests.labelled import COLOR_OF, photo, write_photos


def with_a_wrong_label(photos: list[Photo]) -> list[Photo]:
    return [*photos[:5], replace(photos[5], label="ceramic"), *photos[6:]]


def clusters(count: int, sources: int) -> tuple[list[Photo], np.ndarray]:
    """Photos of three labels, each label in a place of its own among the features."""
    rng = np.random.default_rng(0)
    labels = sorted(COLOR_OF)
    photos = [photo(i, labels[i % 3], f"s{i // 3 % sources}") for i in range(count)]
    places = np.eye(3)[[i % 3 for i in range(count)]]
    return photos, places + rng.normal(0, 0.1, (count, 3))


@pytest.mark.parametrize("sources", [1, 2, 10])
def test_a_wrong_label_is_found_whatever_the_sources(sources: int) -> None:
    photos, embedding = clusters(90, sources)
    wrong = with_a_wrong_label(photos)
    assert wrong[5].label != photos[5].label
    found = find_suspects(wrong, embedding)
    assert (found[0].photo, found[0].suggested) == (wrong[5], photos[5].label)
    assert found[0].given_probability < 0.5 < found[0].suggested_probability
    assert not find_suspects(photos, embedding)
    with pytest.raises(DatasetError, match="at least 2"):
        find_suspects([replace(p, label="wood") for p in photos], embedding)


def test_the_command_lists_and_writes(recognizer: Recognizer, tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_photos(root, 15)
    (root / "ceramic" / "03.jpg").write_bytes(encoded(picture("red", seed=703)))
    table = tmp_path / "suspects.csv"
    options = ("-d", root, "-m", recognizer.bundle.path, "-o", table)
    succeed("dataset", "suspects", *options)
    refuse("dataset", "suspects", *options[:-1], tmp_path / "nowhere" / "x.csv")
    with table.open() as file:
        first = next(csv.DictReader(file))
    assert (first["label"], first["suggested"]) == ("ceramic", "ivory_worked")
    assert first["file"].endswith("ceramic/03.jpg")
    assert len(load_data([root])) == 45
