from __future__ import annotations

from pathlib import Path

import pytest

from recognizer.dataset.manifest import Photo
from recognizer.dataset.splits import corrected
from recognizer.errors import DatasetError

PHOTOS = [Photo(Path(f"{i}.jpg"), f"{i:064x}", "wood", "a", "train") for i in range(4)]


def table(folder: Path, *rows: str, columns: str = "sha256,label,reason") -> Path:
    path = folder / "corrections.csv"
    path.write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_corrected_photo_changes_its_label_and_nothing_else(tmp_path: Path) -> None:
    rows = [f"{1:064x},bone,a bone bead", f"{2:064x},exclude,a page of text"]
    path = table(tmp_path, *rows, f"{9:064x},bone,a photo of other data")
    found = corrected(PHOTOS, path)
    assert [(p.sha256[-1], p.label) for p in found] == [("0", "wood"), ("1", "bone"), ("3", "wood")]
    assert PHOTOS[1].label == "wood"
    assert {(p.source, p.split) for p in found} == {("a", "train")}


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
        corrected(PHOTOS, table(tmp_path, *rows))


def test_tables_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        corrected(PHOTOS, tmp_path / "nowhere.csv")
    with pytest.raises(DatasetError, match="no column reason"):
        corrected(PHOTOS, table(tmp_path, columns="sha256,label"))
