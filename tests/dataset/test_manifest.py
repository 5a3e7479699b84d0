from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.dataset.manifest import (
    Photo,
    drawing_weights,
    exclude_sources,
    fingerprint,
    hold_out_validation,
    load_photos,
    patches,
    prepare,
)
from recognizer.errors import DatasetError
from recognizer.training.config import TrainingConfig
from tests.training.conftest import write_manifest


def photo(i: int, label: str = "ceramic", source: str = "a", split: str = "train") -> Photo:
    return Photo(Path(f"{i}.jpg"), f"{i:064x}", label, source, split)


labelled = st.lists(
    st.tuples(
        st.sampled_from(["ivory_worked", "ceramic", "wood"]),
        st.sampled_from(["a", "b", "c", "synthetic/x"]),
        st.sampled_from(["train", "train", "train", "test"]),
    ),
    min_size=1,
    max_size=80,
)


@given(labelled, st.floats(0.0, 0.5), st.integers(0, 5))
def test_held_out_photos_leave_enough_to_train_on(
    rows: list[tuple[str, str, str]], share: float, seed: int
) -> None:
    photos = [photo(i, *row) for i, row in enumerate(rows)]
    split = hold_out_validation(photos, share, seed)
    assert [p.sha256 for p in split] == [p.sha256 for p in photos]
    for before, after in zip(photos, split, strict=True):
        assert after.split == before.split or (before.split, after.split) == (
            "train",
            "validation",
        )
        assert after.split != "validation" or not after.is_synthetic
    for label in {p.label for p in photos}:
        real = [p for p in photos if p.label == label and p.split == "train"]
        real = [p for p in real if not p.is_synthetic]
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


@given(labelled, st.floats(0, 1), st.floats(0, 1))
def test_drawing_weights_are_a_distribution_that_favours_rare_labels(
    rows: list[tuple[str, str, str]], label_power: float, source_power: float
) -> None:
    photos = [photo(i, *row) for i, row in enumerate(rows)]
    weights = drawing_weights(photos, label_power, source_power)
    assert weights.min() > 0
    assert weights.sum() == pytest.approx(1)
    counts = Counter(p.label for p in photos)
    share = {n: sum(weights[i] for i, p in enumerate(photos) if p.label == n) for n in counts}
    for one in counts:
        for other in counts:
            ratio = (counts[one] / counts[other]) ** label_power
            assert share[one] / share[other] == pytest.approx(ratio)


def test_label_weights_multiply() -> None:
    photos = [photo(0, "wood"), photo(1, "ceramic")]
    assert drawing_weights(photos, 1, 1, {"wood": 3.0}) == pytest.approx(np.array([0.75, 0.25]))


def test_manifest_gives_its_rows(tmp_path: Path) -> None:
    row = {"sha256": "ab", "file": "x/y.jpg", "label": "wood", "source": "s", "split": "test"}
    write_manifest(tmp_path, [row])
    assert load_photos(tmp_path) == [Photo(tmp_path / "x/y.jpg", "ab", "wood", "s", "test")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": "unicorn"}, "manifest.csv:2: unknown label 'unicorn'"),
        ({"split": "holdout"}, "manifest.csv:2: unknown split 'holdout'"),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, change: dict[str, str], words: str) -> None:
    row = {"sha256": "ab", "file": "x.jpg", "label": "wood", "source": "s", "split": "train"}
    write_manifest(tmp_path, [{**row, **change}])
    with pytest.raises(DatasetError, match=words):
        load_photos(tmp_path)


@pytest.mark.parametrize("content", [None, "file,label\n", "sha256,file,label,source,split\n"])
def test_folders_that_hold_no_data_are_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "manifest.csv").write_text(content)
    with pytest.raises(DatasetError):
        load_photos(tmp_path)
    with pytest.raises(DatasetError, match="no such folder"):
        load_photos(tmp_path / "nowhere")


def test_a_folder_for_each_label(photos: list[Photo]) -> None:
    assert Counter(p.label for p in photos) == {
        "ivory_worked": 12,
        "ceramic": 12,
        "listing_other": 12,
    }
    assert {p.split for p in photos} == {"train"}


def test_a_folder_with_a_typo_is_not_left_out_silently(tmp_path: Path) -> None:
    for name in ("ivory_raw", "ivory_row", ".cache", "notes"):
        (tmp_path / name).mkdir()
    for name in ("ivory_raw", "ivory_row", ".cache"):
        (tmp_path / name / "a.jpg").write_bytes(name.encode())
    with pytest.raises(DatasetError, match=r"ivory_row, with 1 pictures.*ivory_raw"):
        load_photos(tmp_path)
    (tmp_path / "ivory_row" / "a.jpg").unlink()
    assert [p.label for p in load_photos(tmp_path)] == ["ivory_raw"]


def test_fingerprint_is_of_the_content_not_the_order() -> None:
    photos = [photo(0), photo(1)]
    assert fingerprint(photos) == fingerprint(photos[::-1])
    assert fingerprint(photos) != fingerprint([photo(0), photo(1, "wood")])


def _table(tmp_path: Path, *rows: str, header: str = "sha256,part,label,polygon") -> Path:
    path = tmp_path / "patches.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


SQUARE = '"0.1,0.1 0.9,0.1 0.9,0.9"'


def test_patches_are_of_training_photos_alone_and_no_evidence(tmp_path: Path) -> None:
    photos = [
        Photo(Path("a.jpg"), "aa", "animal_rhino", "zoo", "train"),
        Photo(Path("b.jpg"), "bb", "animal_rhino", "zoo", "validation"),
        Photo(Path("c.jpg"), "cc", "animal_rhino", "park", "test"),
    ]
    table = _table(tmp_path, *(f"{sha},horn,rhino_horn,{SQUARE}" for sha in ("aa", "bb", "cc")))
    (patch,) = patches(photos, table)
    assert (patch.path, patch.label, patch.source) == (Path("a.jpg"), "rhino_horn", "patch/horn")
    assert patch.is_patch
    assert not patch.is_evidence
    assert len(patch.outline) == 3
    assert fingerprint([patch]) != fingerprint([replace(patch, outline=())])


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        ([f"aa,horn,unicorn,{SQUARE}"], "sha256,part,label,polygon", "unicorn"),
        (['aa,horn,rhino_horn,"0.1,0.1 0.2,0.2"'], "sha256,part,label,polygon", "three points"),
        (['aa,horn,rhino_horn,"0.1,0.1 0.2,0.2 1.5,0"'], "sha256,part,label,polygon", "shares"),
        (['aa,horn,rhino_horn,"a b c"'], "sha256,part,label,polygon", "pairs"),
        (["aa,horn,rhino_horn"], "sha256,part,label,polygon", "three points"),
        (["aa,\0\xff"], "sha256,part,label,polygon", "unknown label"),
        ([], "sha256,part,label", "polygon"),
    ],
)
def test_a_wrong_table_of_patches_names_its_line(
    tmp_path: Path, rows: list[str], header: str, words: str
) -> None:
    photos = [Photo(Path("a.jpg"), "aa", "animal_rhino", "zoo", "train")]
    with pytest.raises(DatasetError, match=words):
        patches(photos, _table(tmp_path, *rows, header=header))
    with pytest.raises(DatasetError, match=r"none\.csv"):
        patches(photos, tmp_path / "none.csv")


def test_patches_of_a_part_can_be_left_out(tmp_path: Path) -> None:
    photos = [Photo(tmp_path / "a.jpg", "aa", "animal_rhino", "zoo", "train")]
    table = _table(
        tmp_path,
        f"aa,horn,rhino_horn,{SQUARE}",
        f"aa,hide,reptile_leather,{SQUARE}",
    )
    config = TrainingConfig(patches=str(table), validation_share=0, exclude_sources=["patch/hide"])
    assert [p.source for p in prepare(photos, config)] == ["zoo", "patch/horn"]
    elsewhere = replace(config, exclude_sources=["patch/hide", "zoo"])  # none is left to leave out
    assert [p.split for p in prepare(photos, elsewhere)] == ["excluded"]
    with pytest.raises(DatasetError, match="patch/tail"):
        prepare(photos, replace(config, exclude_sources=["patch/tail"]))


def test_excluded_sources_are_in_no_split_of_a_run() -> None:
    photos = [
        Photo(Path(f"{i}.jpg"), f"{i:02}", "wood", source, "train")
        for i, source in enumerate(["a", "a", "b", "b"])
    ]
    splits = [p.split for p in exclude_sources(photos, ["a"])]
    assert splits == ["excluded", "excluded", "train", "train"]
    with pytest.raises(DatasetError, match="nowhere"):
        exclude_sources(photos, ["nowhere"])


def test_masks_of_a_rendered_set_are_found(tmp_path: Path) -> None:
    (tmp_path / "masks" / "wood").mkdir(parents=True)
    (tmp_path / "masks" / "wood" / "x-1.png").write_bytes(b"")
    (tmp_path / "manifest.csv").write_text(
        "sha256,file,label,source,split\n"
        "a,images/wood/x-1.jpg,wood,synthetic/x,train\n"
        "b,images/wood/x-2.jpg,wood,synthetic/x,train\n"
    )
    with_mask, without = load_photos(tmp_path)
    assert with_mask.mask == tmp_path / "masks" / "wood" / "x-1.png"
    assert without.mask is None
