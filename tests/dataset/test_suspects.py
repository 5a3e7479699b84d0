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
from recognizer.dataset.suspects import find_suspects, suspects_sheet
from recognizer.errors import DatasetError
from recognizer.recognizer import Recognizer
from tests.conftest import encoded, picture
from tests.labelled import COLOR_OF


def clusters(count: int, sources: int) -> tuple[list[Photo], np.ndarray]:
    """Photos of three labels, each label in a place of its own among the features."""
    rng = np.random.default_rng(0)
    labels = sorted(COLOR_OF)
    photos = [
        Photo(Path(f"{i}.jpg"), f"{i:064x}", labels[i % 3], f"s{i // 3 % sources}", "train")
        for i in range(count)
    ]
    places = np.eye(3)[[i % 3 for i in range(count)]]
    return photos, places + rng.normal(0, 0.1, (count, 3))


@pytest.mark.parametrize("sources", [1, 2, 10])
def test_a_wrong_label_is_found_whatever_the_sources(sources: int) -> None:
    photos, embedding = clusters(90, sources)
    wrong = [replace(p, label="ceramic") if i == 5 else p for i, p in enumerate(photos)]
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
    for label, color in COLOR_OF.items():
        (root / label).mkdir(parents=True)
        for i in range(15):
            seed = i + 100 * len(label)
            data = encoded(picture("red" if (label, i) == ("ceramic", 3) else color, seed=seed))
            (root / label / f"{i:02}.jpg").write_bytes(data)
    table, sheet = tmp_path / "suspects.csv", tmp_path / "sheet.png"
    done = CliRunner().invoke(
        app,
        [
            *("dataset", "suspects", "-d", str(root), "-b", str(recognizer.bundle.path)),
            *("-o", str(table), "--sheet", str(sheet)),
        ],
    )
    assert done.exit_code == ExitCode.DONE, done.output
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert (rows[0]["label"], rows[0]["suggested"]) == ("ceramic", "ivory_worked")
    assert rows[0]["file"].endswith("ceramic/03.jpg")
    assert sheet.stat().st_size > 0
    assert len(load_photos(root)) == 45


def test_a_photo_that_is_gone_is_named() -> None:
    photos, embedding = clusters(90, 10)
    wrong = [replace(p, label="ceramic") if i == 5 else p for i, p in enumerate(photos)]
    with pytest.raises(DatasetError, match=r"5\.jpg"):
        suspects_sheet(find_suspects(wrong, embedding))
