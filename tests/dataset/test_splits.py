from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.dataset.manifest import Photo, fingerprint
from recognizer.dataset.splits import (
    DataRecipe,
    corrected,
    exclude_sources,
    hold_out_validation,
    patches,
    prepare,
)
from recognizer.errors import DatasetError
from recognizer.taxonomy import Kind, load_taxonomy
from tests.labelled import photo, write_patches

PATCH_COLUMNS = "sha256,part,label,polygon"
OUTLINE = '"0.1,0.1 0.9,0.1 0.9,0.9"'
labelled = st.lists(
    st.tuples(
        st.sampled_from(["ivory_worked", "ceramic", "wood"]),
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from(["train", "train", "train", "test"]),
    ),
    min_size=1,
    max_size=80,
)


def test_a_validation_split_of_the_data_is_the_only_one() -> None:
    photos = [photo(i, source=f"s{i}") for i in range(40)]
    assert any(p.split == "validation" for p in hold_out_validation(photos, 0.1, 0))
    photos.append(photo(40, source="held", split="validation"))
    assert hold_out_validation(photos, 0.1, 0) == photos


@given(labelled, st.floats(0.0, 0.5), st.integers(0, 5))
def test_held_out_photos_leave_enough_to_train_on(
    rows: list[tuple[str, str, str]], share: float, seed: int
) -> None:
    photos = [photo(i, *row) for i, row in enumerate(rows)]
    split = hold_out_validation(photos, share, seed)
    assert [p.sha256 for p in split] == [p.sha256 for p in photos]
    for before, after in zip(photos, split, strict=True):
        assert (before.split, after.split) == ("train", "validation") or after == before
    for label in {p.label for p in photos}:
        real = [p for p in photos if p.label == label and p.split == "train"]
        held = sum(p.label == label and p.split == "validation" for p in split)
        assert held <= len(real) // 2
    again = hold_out_validation(photos[::-1], share, seed)
    assert {(p.sha256, p.split) for p in again} == {(p.sha256, p.split) for p in split}


def test_whole_sources_are_held_out_for_negatives_and_not_for_products() -> None:
    photos = [photo(i, "wood", f"s{i // 10}") for i in range(200)]
    photos += [photo(1000 + i, "ivory_worked", f"s{i // 10}") for i in range(200)]
    split = hold_out_validation(photos, 0.1, 0)

    def whole(label: str) -> int:
        members = [p for p in split if p.label == label]
        sources = {p.source for p in members}
        return sum(all(p.split == "validation" for p in members if p.source == s) for s in sources)

    assert whole("wood") >= 2
    assert whole("ivory_worked") == 0


def test_patches_of_a_part_can_be_left_out(tmp_path: Path) -> None:
    photos = [Photo(tmp_path / "a.jpg", "aa", "animal_rhino", "zoo", "train")]
    rows = [f"aa,horn,rhino_horn,{OUTLINE}", f"aa,hide,reptile_leather,{OUTLINE}"]
    patches = table(tmp_path, *rows, columns=PATCH_COLUMNS)
    config = DataRecipe(patches=str(patches), validation_share=0, exclude_sources=["patch/hide"])
    assert [p.source for p in prepare(photos, config)] == ["zoo", "patch/horn"]
    elsewhere = replace(config, exclude_sources=["patch/hide", "zoo"])  # none is left to leave out
    assert [p.split for p in prepare(photos, elsewhere)] == ["excluded"]
    with pytest.raises(DatasetError, match="patch/tail"):
        prepare(photos, replace(config, exclude_sources=["patch/tail"]))


def test_excluded_sources_are_in_no_split_of_a_run() -> None:
    photos = [photo(i, "wood", source) for i, source in enumerate("aabb")]
    splits = [p.split for p in exclude_sources(photos, ["a"])]
    assert splits == ["excluded", "excluded", "train", "train"]
    with pytest.raises(DatasetError, match="nowhere"):
        exclude_sources(photos, ["nowhere"])


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
    photos = [photo(i, *row) for i, row in enumerate(rows)]
    products = st.sampled_from(["rhino_horn", "pangolin_scales", "ivory_raw"])
    outlined = data.draw(
        st.dictionaries(st.sampled_from([p.sha256 for p in photos]), products, max_size=12)
    )
    table = write_patches(tmp_path_factory.getbasetemp() / "some.csv", outlined)
    plain = prepare(photos, DataRecipe(validation_share=share))
    found = prepare(photos, DataRecipe(validation_share=share, patches=str(table)))
    assert found[: len(photos)] == plain
    assert [(p.sha256, p.label) for p in plain] == [(p.sha256, p.label) for p in photos]
    taught = {p.sha256 for p in plain if p.split == "train" and p.is_evidence}
    added = found[len(photos) :]
    assert {p.sha256 for p in added} == taught & set(outlined)
    assert all(p.is_patch and p.split == "train" and p.label == outlined[p.sha256] for p in added)
    assert not any(p.is_evidence for p in added)


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


def test_a_run_trains_on_what_its_recipe_corrects(tmp_path: Path) -> None:
    path = table(tmp_path, f"{1:064x},bone,a bone bead")
    config = DataRecipe(corrections=str(path), validation_share=0.0)
    assert sorted(p.label for p in prepare(PHOTOS, config)) == ["bone", "wood", "wood", "wood"]
    assert prepare(PHOTOS, DataRecipe(validation_share=0.0)) == PHOTOS


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
