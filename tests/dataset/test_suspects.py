from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("cleanlab", reason="the extra `train` is not installed")

from recognizer.cli import ExitCode, app
from recognizer.dataset.manifest import Photo, load_photos
from recognizer.dataset.suspects import draw_suspects, find_suspects
from recognizer.engine import Recognizer
from recognizer.errors import DatasetError, UsageError
from tests.conftest import encoded, picture
from tests.labelled import COLOR_OF, photo, write_photos


def with_a_wrong_label(photos: list[Photo]) -> list[Photo]:
    return [replace(p, label="ceramic") if i == 5 else p for i, p in enumerate(photos)]


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
    assert found[0].photo is wrong[5]
    assert found[0].suggested == photos[5].label
    assert found[0].given_probability < 0.5 < found[0].suggested_probability


def test_right_labels_are_left_alone() -> None:
    assert not find_suspects(*clusters(90, 10))


def test_one_label_cannot_be_told_from_others() -> None:
    photos, embedding = clusters(30, 5)
    with pytest.raises(DatasetError, match="at least 2"):
        find_suspects([replace(p, label="wood") for p in photos], embedding)


def test_the_command_lists_draws_and_writes(recognizer: Recognizer, tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_photos(root, 15)
    (root / "ceramic" / "03.jpg").write_bytes(encoded(picture("red", seed=703)))
    table, sheet = tmp_path / "suspects.csv", tmp_path / "sheet.png"
    verb = ["dataset", "suspects", "-d", root, "-b", recognizer.bundle.path, "-o", table]
    done = CliRunner().invoke(app, [*map(str, verb), "--sheet", str(sheet)])
    assert done.exit_code == ExitCode.DONE, done.output
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert (rows[0]["label"], rows[0]["suggested"]) == ("ceramic", "ivory_worked")
    assert rows[0]["file"].endswith("ceramic/03.jpg")
    assert sheet.stat().st_size > 0
    assert len(load_photos(root)) == 45


def test_a_photo_that_is_gone_is_named(tmp_path: Path) -> None:
    photos, embedding = clusters(90, 10)
    wrong = with_a_wrong_label(photos)
    with pytest.raises(DatasetError, match=r"5\.jpg"):
        draw_suspects(find_suspects(wrong, embedding), tmp_path / "sheet.png")
    with pytest.raises(UsageError, match="cannot be written as a picture"):
        draw_suspects([], tmp_path / "sheet.tusk")
