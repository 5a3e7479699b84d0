from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.dataset.manifest import Photo
from recognizer.dataset.splits import DataRecipe, exclude_sources, hold_out_validation, prepare
from recognizer.errors import DatasetError
from tests.dataset.test_annotations import OUTLINE, PATCH_COLUMNS, table
from tests.labelled import photo, write_patches

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
