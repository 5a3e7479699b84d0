"""Sources are dealt into folds, whole and evenly."""

from collections import Counter

import numpy as np
import pytest

from recognizer.errors import DatasetError
from recognizer.lab.dataset.folds import deal_to_splits, read_folds, stratified_folds
from tests.conftest import write_file
from tests.labelled import photo


def test_folds_are_stratified_and_sources_stay_whole():
    truth = [("ivory_worked", "ceramic", "listing_other")[i // 4 % 3] for i in range(120)]
    sources = [f"s{i // 4}" for i in range(120)]
    splits = stratified_folds(truth, sources, 5)
    assert sorted(row for _, rows in splits for row in rows.tolist()) == list(range(120))
    for learned, left in splits:
        assert not {sources[i] for i in learned} & {sources[i] for i in left}
        assert Counter(truth[i] for i in left) == dict.fromkeys(set(truth), 8)


def test_a_label_of_one_source_is_split_by_photos_and_few_photos_make_few_folds():
    splits = stratified_folds(["wood"] * 12 + ["bone"] * 12, ["a"] * 12 + list("bcd") * 4, 5)
    assert all("a" in {("a" if i < 12 else "b") for i in rows} for _, rows in splits)
    assert len(stratified_folds(["wood", "bone", "wood", "bone"], ["a"] * 4, 5)) == 4
    with pytest.raises(DatasetError, match="too few to split"):
        stratified_folds(["wood"], ["a"], 5)


def test_a_table_says_fold_and_group_of_each_source(tmp_path):
    path = write_file(tmp_path / "folds.csv", b"source,group,fold\na,x,0\nb,x,0\nc,,1\n")
    assert read_folds(path) == {"a": ("x", 0), "b": ("x", 0), "c": ("c", 1)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("source\na\n", "no column fold"),
        ("source,fold,fold\na,1,2\n", "two columns are named 'fold'"),
        ("source,fold\na,0\nb,two\n", ":3: fold 'two': a number from 0"),
        ("source,fold\na,0\na,1\n", "'a' is listed twice"),
        ("source,fold\na,0\nb,2\n", "without a gap"),
        ("source,fold\na,0\n", "at least two"),
        ("source,group,fold\na,x,0\nb,x,1\n", "group 'x' is in more than one fold"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path, text, words):
    path = write_file(tmp_path / "folds.csv", text.encode())
    with pytest.raises(DatasetError, match=words):
        read_folds(path)


def test_a_label_with_two_groups_trains_and_tests():
    labels, groups = ["bone"] * 3 + ["wood"] * 4, [0, 0, 0, 3, 3, 4, 4]
    split = deal_to_splits([photo(i, label) for i, label in enumerate(labels)], groups, 0.2)
    assert set(split[:3]) == {"train"}
    assert set(split[3:]) == {"train", "test"}


def test_at_least_half_of_a_labels_sources_train():
    """However few photos they have: one of eight sources has all others' share of the test."""
    sizes = [60, 2, 2, 1, 1, 1, 1, 1]
    groups = [group for group, size in enumerate(sizes) for _ in range(size)]
    for seed in range(5):
        photos = [photo(i, "reptile_leather") for i in range(len(groups))]
        split = deal_to_splits(photos, groups, 0.1, seed)
        sources = {(s, g) for g, s in zip(groups, split, strict=True)}
        assert 4 <= sum(s == "train" for s, _ in sources) < len(sizes)


def test_the_deal_does_not_depend_on_the_order():
    rng = np.random.default_rng(0)
    labels = rng.choice(["bone", "wood", "coral"], 300).tolist()
    photos = [photo(i, label) for i, label in enumerate(labels)]
    groups = rng.integers(0, 90, 300).tolist()
    split = deal_to_splits(photos, groups, 0.2, 5)
    order = rng.permutation(300).tolist()
    shuffled = deal_to_splits([photos[i] for i in order], [groups[i] for i in order], 0.2, 5)
    assert shuffled == [split[i] for i in order]
    assert Counter(split)["test"] / 300 == pytest.approx(0.2, abs=0.05)
