"""Sources are dealt into folds, whole and evenly."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizer.dataset.manifest import Photo
from recognizer.dataset.source_folds import (
    SourceFolds,
    deal_sources,
    leave_fold_out,
    read_folds,
    read_groups,
    write_folds,
)
from recognizer.errors import DatasetError
from tests.dataset.test_splits import photo

LABELS = ("ivory_worked", "ceramic", "listing_other")


def many(sources: int = 30, each: int = 4) -> list[Photo]:
    """Of each source some photos of one label, so that a fair deal is possible."""
    return [
        photo(i * each + j, LABELS[i % 3], f"s{i}", "train")
        for i in range(sources)
        for j in range(each)
    ]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 99), st.permutations(range(12)))
def test_sources_stay_whole_and_the_order_of_photos_does_not_matter(
    seed: int, order: list[int]
) -> None:
    photos = many(12, 2)
    folds = deal_sources(photos, 3, seed=seed)
    assert set(folds.fold_of) == {p.source for p in photos}
    assert set(folds.fold_of.values()) == {0, 1, 2}
    shuffled = [photos[2 * i + j] for i in order for j in (0, 1)]
    assert deal_sources(shuffled, 3, seed=seed) == folds


def test_each_label_is_spread_evenly() -> None:
    photos = many()
    folds = deal_sources(photos, 5)
    counts = Counter((p.label, folds.of(p)) for p in photos)
    assert set(counts.values()) == {8}  # ten sources of each label: two in each fold


def test_groups_stay_together() -> None:
    groups = [("s1*", "ones"), ("s1", "never reached"), ("s2", "two")]
    folds = deal_sources(many(), 4, groups=groups)
    ones = {f"s{i}" for i in (1, *range(10, 20))}
    assert len({folds.fold_of[source] for source in ones}) == 1
    assert {folds.group_of[source] for source in ones} == {"ones"}
    assert folds.group_of["s2"] == "two"
    assert folds.group_of["s3"] == "s3"


def test_patches_and_the_test_split_have_no_fold() -> None:
    patch = replace(photo(900, "ceramic", "x", "train"), outline=((0, 0), (1, 0), (1, 1)))
    extra = [patch, photo(901, "ceramic", "t", "test")]
    assert set(deal_sources([*many(), *extra], 3).fold_of) == {f"s{i}" for i in range(30)}


def test_too_few_groups_are_no_folds() -> None:
    with pytest.raises(DatasetError, match="2 groups of sources: too few for 3 folds"):
        deal_sources(many(2), 3)


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    folds = deal_sources(many(), 3, groups=[("s1*", "ones")])
    write_folds(folds, tmp_path / "folds.csv")
    assert read_folds(tmp_path / "folds.csv") == folds
    # It is a table of groups, too.
    again = deal_sources(many(), 3, groups=read_groups(tmp_path / "folds.csv"))
    assert again.group_of == folds.group_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("source\na\n", "no column fold"),
        ("source,fold\na,0\nb,two\n", ":3: fold 'two': a number from 0"),
        ("source,fold\na,0\na,1\n", "'a' is there twice"),
        ("source,fold\na,0\nb,2\n", "without a gap"),
        ("source,fold\na,0\n", "at least two"),
        ("source,group,fold\na,x,0\nb,x,1\n", "group 'x' is in more than one fold"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "folds.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=words):
        read_folds(path)


def test_a_fold_is_left_out_and_nothing_else() -> None:
    folds = SourceFolds({"a": 0, "b": 1}, {"a": "a", "b": "b"})
    photos = [
        photo(0, "ceramic", "a", "train"),
        photo(1, "ceramic", "a", "validation"),
        photo(2, "ceramic", "b", "train"),
        photo(3, "ceramic", "b", "validation"),
        photo(4, "ceramic", "c", "test"),
    ]
    splits = [p.split for p in leave_fold_out(photos, folds, 0)]
    assert splits == ["validation", "validation", "train", "excluded", "test"]
    with pytest.raises(DatasetError, match="'d' is in no fold: deal the sources again"):
        leave_fold_out([photo(9, "ceramic", "d", "train")], folds, 0)
