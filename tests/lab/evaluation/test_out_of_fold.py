"""Uses of out-of-fold predictions: calibration, figures, suspects."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recognizer.errors import DatasetError
from recognizer.lab.evaluation.out_of_fold import (
    OutOfFold,
    measure_out_of_fold,
    read_out_of_fold,
    write_out_of_fold,
)
from tests.conftest import refuse, succeed
from tests.docs.blocks import ROOT, blocks
from tests.tiny import LABELS

pyarrow = pytest.importorskip("pyarrow")
pytest.importorskip("sklearn")


def predictions(photos, **changes):
    """Of these photos, in three folds by their source; each label has the highest score."""
    rng = np.random.default_rng(0)
    names = [label if label in LABELS else "listing_other" for label in (p.label for p in photos)]
    truth = np.array([[name == label for label in LABELS] for name in names])
    log_odds = np.where(truth, 2.0, -3.0) + rng.normal(0, 0.5, truth.shape)
    sources = sorted({p.source for p in photos})
    folds = np.array([sources.index(p.source) for p in photos], np.int16)
    found = OutOfFold(photos=photos, folds=folds, labels=LABELS, log_odds=np.float32(log_odds))
    return replace(found, **changes)


@pytest.fixture
def photos(labelled_photos):
    return [replace(p, source=f"s{i % 3}") for i, p in enumerate(labelled_photos)]


@pytest.fixture
def file(photos, tmp_path):
    path = tmp_path / "out-of-fold.parquet"
    write_out_of_fold(predictions(photos), path)
    return path


def test_a_file_is_read_as_it_was_written(photos, file):
    before, found = predictions(photos), read_out_of_fold(file)
    assert (found.log_odds == before.log_odds).all()
    assert (found.folds == before.folds).all()
    assert tuple(found.labels) == LABELS
    for one, other in zip(photos, found.photos, strict=True):
        assert replace(one, path=Path(), split="validation") == other


def test_what_is_no_such_file_is_refused(tmp_path):
    other = tmp_path / "other.parquet"
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table({"a": [1]}), other)
    with pytest.raises(DatasetError, match="not out-of-fold predictions"):
        read_out_of_fold(other)
    with pytest.raises(DatasetError, match="missing"):
        read_out_of_fold(tmp_path / "missing.parquet")


def test_a_wrong_label_is_found(photos, tmp_path, monkeypatch):
    """By the lines that docs/data.md has for it."""
    pytest.importorskip("cleanlab")
    known = [replace(p, label=p.label if p.label in LABELS else "listing_other") for p in photos]
    found = predictions(known)
    wrong = next(p for p in known if p.label == "ivory_worked")
    known[known.index(wrong)] = replace(wrong, label="listing_other")
    file = tmp_path / "runs" / "mine" / "out-of-fold.parquet"
    file.parent.mkdir(parents=True)
    write_out_of_fold(replace(found, photos=known), file)
    monkeypatch.chdir(tmp_path)
    (block,) = (b for b in blocks(ROOT / "docs" / "data.md") if "cleanlab" in b.text)
    exec(block.text, {})
    with (tmp_path / "suspects.csv").open() as table:
        (row,) = csv.DictReader(table)
    assert (row["sha256"], row["suggested"]) == (wrong.sha256, "ivory_worked")


def test_a_fold_is_calibrated_on_the_others(photos):
    found = predictions(photos)
    shifted = np.where(found.folds[:, None] == 0, found.log_odds + 9, found.log_odds)
    held = predictions(photos, log_odds=shifted)
    measured = measure_out_of_fold(held, "x", rounds=20).evaluation
    # Whatever the fold that drifts does to itself, the thresholds come from the others.
    assert measured.flagged_negatives.value == pytest.approx(1 / 3)
    assert measured.bundle == "x"


def test_labels_of_one_source_are_marked(photos, tmp_path):
    of_one = [replace(p, source="one") if p.label == "ivory_worked" else p for p in photos]
    folds, file = predictions(photos).folds, tmp_path / "one.parquet"
    write_out_of_fold(predictions(of_one, folds=folds), file)
    shown = " ".join(succeed("runs", file, "--rounds", 20).output.split())
    assert "ivory_worked † 12 (1)" in shown
    assert "Not from unseen sources (ivory, ivory_worked)" in shown
    assert "one.parquet, out of fold" in shown
    assert "at least 0 %" in shown  # of the leads are products: one source says nothing of others
    assert measure_out_of_fold(predictions(photos), "x", rounds=20).evaluation.same_sources == ()


def test_a_label_whose_source_was_dealt_by_photo_for_another_label_is_marked(photos):
    """Networks that score its photos have seen others of their source."""
    shared = [replace(p, source="s0") if p.label == "ivory_worked" else p for p in photos]
    folds = np.where([p.label == "ivory_worked" for p in photos], np.arange(36) % 3, 0)
    folds = np.where([p.source == "s0" for p in shared], folds, [int(p.source[1]) for p in shared])
    held = predictions(shared, folds=np.int16(folds))
    found = measure_out_of_fold(held, "x", rounds=20).evaluation
    assert found.same_sources == ("ceramic", "ivory", "ivory_worked", "listing_other")


def test_runs_are_compared_photo_by_photo(photos, file, tmp_path):
    """Of photos that both have: the worse one takes one ivory in three for ceramic."""
    ivory = [i for i, p in enumerate(photos) if p.label == "ivory_worked"]
    worse = predictions(photos).log_odds.copy()
    worse[np.ix_(ivory[::3], [0, 2])] = worse[np.ix_(ivory[::3], [2, 0])]
    other = predictions(photos[:-2], folds=predictions(photos).folds[:-2], log_odds=worse[:-2])
    write_out_of_fold(other, tmp_path / "worse.parquet")
    pair = succeed("runs", file, tmp_path / "worse.parquet", "--json", "--rounds", 20).stdout
    first = json.loads(pair)["families"][0]
    assert (first["name"], first["photos"]) == ("any product", 12)
    assert first["recall"]["difference"]["value"] == pytest.approx(4 / 12)
    same = json.loads(succeed("runs", file, file, "--json", "--rounds", 20).stdout)
    assert {f["recall"]["difference"]["value"] for f in same["families"]} == {0}
    others = [replace(p, sha256=p.sha256[::-1]) for p in photos]
    write_out_of_fold(predictions(others), tmp_path / "others.parquet")
    assert "too few photos in common" in refuse("runs", file, tmp_path / "others.parquet").stderr
