from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from recognizer.dataset.manifest import Photo, fingerprint
from recognizer.dataset.splits import corrected, patches
from recognizer.errors import DatasetError
from recognizer.taxonomy import Kind, load_taxonomy

PATCH_COLUMNS = "sha256,part,label,polygon"
OUTLINE = '"0.1,0.1 0.9,0.1 0.9,0.9"'


# --- corrections and patches -----------------------------------------------------------------

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


def test_patches_are_of_training_photos_alone_and_no_evidence(tmp_path: Path) -> None:
    places = [("a", "zoo", "train"), ("b", "zoo", "validation"), ("c", "park", "test")]
    photos = [
        Photo(Path(f"{name}.jpg"), 2 * name, "animal_rhino", source, split)
        for name, source, split in places
    ]
    rows = [f"{sha},horn,rhino_horn,{OUTLINE}" for sha in ("aa", "bb", "cc")]
    (patch,) = patches(photos, table(tmp_path, *rows, columns=PATCH_COLUMNS))
    assert (patch.path, patch.label, patch.source) == (Path("a.jpg"), "rhino_horn", "patch/horn")
    assert patch.is_patch
    assert not patch.is_evidence
    assert len(patch.outline) == 3
    assert fingerprint([patch]) != fingerprint([replace(patch, outline=())])


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        ([f"aa,horn,unicorn,{OUTLINE}"], PATCH_COLUMNS, "unicorn"),
        (['aa,horn,rhino_horn,"0.1,0.1 0.2,0.2"'], PATCH_COLUMNS, "three points"),
        (['aa,horn,rhino_horn,"0.1,0.1 0.2,0.2 1.5,0"'], PATCH_COLUMNS, "shares"),
        (['aa,horn,rhino_horn,"a b c"'], PATCH_COLUMNS, "pairs"),
        (["aa,horn,rhino_horn"], PATCH_COLUMNS, "three points"),
        (["aa,\0\xff"], PATCH_COLUMNS, "unknown label"),
        ([], "sha256,part,label", "polygon"),
    ],
)
def test_a_wrong_table_of_patches_names_its_line(
    tmp_path: Path, rows: list[str], columns: str, words: str
) -> None:
    photos = [Photo(Path("a.jpg"), "aa", "animal_rhino", "zoo", "train")]
    with pytest.raises(DatasetError, match=words):
        patches(photos, table(tmp_path, *rows, columns=columns))
    with pytest.raises(DatasetError, match=r"none\.csv"):
        patches(photos, tmp_path / "none.csv")


TABLE = Path(__file__).parents[2] / "datasets" / "patches.csv"


def test_the_table_of_the_repository_teaches_products_alone() -> None:
    kinds = load_taxonomy().labels
    with TABLE.open(newline="", encoding="utf-8") as file:
        labels = {row["label"] for row in csv.DictReader(file)}
    assert labels
    assert all(kinds[label].kind is Kind.PRODUCT for label in labels)
