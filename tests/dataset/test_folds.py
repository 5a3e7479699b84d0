"""Sources are dealt into folds, whole and evenly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizer.dataset.folds import (
    SourceFolds,
    deal_sources,
    deal_to_splits,
    leave_fold_out,
    read_folds,
    write_folds,
)
from recognizer.dataset.manifest import Photo
from recognizer.errors import DatasetError
from recognizer.taxonomy import load_taxonomy
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


def test_patches_and_the_test_split_have_no_fold() -> None:
    patch = replace(photo(900, "ceramic", "x", "train"), outline=((0, 0), (1, 0), (1, 1)))
    extra = [patch, photo(901, "ceramic", "t", "test")]
    assert set(deal_sources([*many(), *extra], 3).fold_of) == {f"s{i}" for i in range(30)}


def test_too_few_groups_are_no_folds() -> None:
    with pytest.raises(DatasetError, match="2 sources: too few for 3 folds"):
        deal_sources(many(2), 3)


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    folds = deal_sources(many(), 3)
    write_folds(folds, tmp_path / "folds.csv")
    assert read_folds(tmp_path / "folds.csv") == folds


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


# --- splits -----------------------------------------------------------------------------------

SHARES = {"train": 0.7, "test": 0.2, "validation": 0.1}


def of(labels: Sequence[str]) -> list[Photo]:
    return [photo(i, label) for i, label in enumerate(labels)]


def test_a_label_with_few_groups_trains_first_then_tests() -> None:
    photos = of(["bone"] * 3 + ["wood"] * 4 + ["shell"] * 5)
    groups = [0, 0, 0, 3, 3, 4, 4, 7, 7, 8, 8, 9]
    split = deal_to_splits(photos, groups, SHARES)
    assert set(split[:3]) == {"train"}
    assert set(split[3:7]) == {"train", "test"}
    assert set(split[7:]) == {"train", "test", "validation"}


def test_the_deal_does_not_depend_on_the_order() -> None:
    rng = np.random.default_rng(0)
    photos = of(rng.choice(["bone", "wood", "coral"], 300).tolist())
    groups = rng.integers(0, 90, 300).tolist()
    split = deal_to_splits(photos, groups, SHARES, 5)
    order = rng.permutation(300).tolist()
    shuffled = deal_to_splits([photos[i] for i in order], [groups[i] for i in order], SHARES, 5)
    assert shuffled == [split[i] for i in order]
    counts = Counter(split)
    assert [round(counts[s] / 300, 1) for s in SHARES] == [0.7, 0.2, 0.1]


def test_a_share_of_zero_gets_nothing() -> None:
    shares = {"train": 0.8, "test": 0.2, "validation": 0.0}
    split = deal_to_splits(of(["wood"] * 50), range(50), shares)
    assert Counter(split) == {"train": 40, "test": 10}


def test_many_photos_that_are_their_own_sources() -> None:
    names = [*load_taxonomy().labels]
    photos = of([names[i % 40] for i in range(20_000)])
    counts = Counter(deal_to_splits(photos, range(20_000), SHARES))
    assert counts == {"train": 14_000, "test": 4_000, "validation": 2_000}
