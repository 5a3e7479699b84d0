"""Scores in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from recognizer.errors import UsageError
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.review.plan.scores import read_scores, write_scores
from tests.review.plan.worlds import photo


def test_scores_come_back_from_their_file(bundle: Bundle, tmp_path: Path) -> None:
    photos = [photo(bundle, "ivory_raw", 0.25), photo(bundle, "bone", 1e-7)]
    write_scores(tmp_path / "scores.csv", bundle, photos)
    assert read_scores(tmp_path / "scores.csv", bundle) == photos


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("0.25", "nan", "scores.csv:2: scores are probabilities"),
        ("0.25", "x", "scores.csv:2: could not convert"),
        ("ivory_raw", "ivory_new", "unknown label"),
        ("source", "place", "no column source"),
    ],
)
def test_a_broken_table_is_refused(
    bundle: Bundle, tmp_path: Path, before: str, after: str, words: str
) -> None:
    path = tmp_path / "scores.csv"
    write_scores(path, bundle, [photo(bundle, "ivory_raw", 0.25)])
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(UsageError, match=words):
        read_scores(path, bundle)


def test_scores_of_another_bundle_are_refused(
    bundle: Bundle, tiny_bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "scores.csv"
    write_scores(path, bundle, [photo(bundle, "ivory_raw", 0.25)])
    with pytest.raises(UsageError, match="not of tiny-v1"):
        read_scores(path, load_bundle(tiny_bundle))
