from __future__ import annotations

from pathlib import Path

import pytest

from recognizer.dataset.corrections import apply_corrections, load_corrections
from recognizer.dataset.manifest import Photo, prepare
from recognizer.errors import DatasetError
from recognizer.training.config import TrainingConfig

PHOTOS = [Photo(Path(f"{i}.jpg"), f"{i:064x}", "wood", "a", "train") for i in range(4)]


def table(folder: Path, *rows: str, columns: str = "sha256,label,reason") -> Path:
    path = folder / "corrections.csv"
    path.write_text("\n".join([columns, *rows]) + "\n")
    return path


def test_a_corrected_photo_changes_its_label_and_nothing_else(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        f"{1:064x},bone,a bone bead",
        f"{2:064x},exclude,a page of text",
        f"{9:064x},bone,a photo of other data",
    )
    found = apply_corrections(PHOTOS, load_corrections(path))
    assert [(p.sha256[-1], p.label) for p in found] == [("0", "wood"), ("1", "bone"), ("3", "wood")]
    assert PHOTOS[1].label == "wood"
    assert {(p.source, p.split) for p in found} == {("a", "train")}


def test_a_run_trains_on_what_its_recipe_corrects(tmp_path: Path) -> None:
    path = table(tmp_path, f"{1:064x},bone,a bone bead")
    config = TrainingConfig(corrections=str(path), validation_share=0.0)
    assert sorted(p.label for p in prepare(PHOTOS, config)) == ["bone", "wood", "wood", "wood"]
    assert prepare(PHOTOS, TrainingConfig(validation_share=0.0)) == PHOTOS


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["ab,unicorn,one horn"], "corrections.csv:2: unknown label 'unicorn'"),
        (["ab,wood,"], "corrections.csv:2: no reason"),
        (["ab,wood,x", "ab,bone,y"], "corrections.csv:3: ab... is corrected twice"),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, rows: list[str], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        load_corrections(table(tmp_path, *rows))


def test_tables_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        load_corrections(tmp_path / "nowhere.csv")
    with pytest.raises(DatasetError, match="no column reason"):
        load_corrections(table(tmp_path, columns="sha256,label"))
