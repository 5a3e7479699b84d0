"""Which photos a bundle remembers. None of this needs torch."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recognizer.dataset.manifest import Photo
from recognizer.engine import Recognizer
from recognizer.errors import DatasetError
from recognizer.model.bundle import load_bundle
from recognizer.model.negatives import NegativeBank, read_negatives
from recognizer.training.negative_bank import PRODUCT_PHOTOS, attach_bank, build_bank
from tests.labelled import deal
from tests.tiny import write_tiny_bundle


@pytest.fixture(scope="module")
def split(labelled_photos: list[Photo]) -> list[Photo]:
    """Of each label's twelve photos six are trained on, three held out, three for the test."""
    splits = ("train", "train", "validation", "test")
    return deal(labelled_photos, *splits, sources="abc")


@pytest.fixture(scope="module")
def whole(recognizer: Recognizer, split: list[Photo]) -> NegativeBank:
    return build_bank(recognizer, split, size=1000)


def test_a_bank_holds_what_was_held_out_and_never_the_test_split(
    recognizer: Recognizer, split: list[Photo]
) -> None:
    bank = build_bank(recognizer, split, size=20)
    by_digest = {int(p.sha256[:16], 16): p for p in split}
    found = [by_digest[int(digest)] for digest in bank.sha256]
    assert {p.split for p in found} == {"train", "validation"}
    assert [p.label for p in found] == bank.labels.tolist()
    assert [p.split == "validation" for p in found] == bank.held_out.tolist()
    assert int(bank.held_out.sum()) == sum(p.split == "validation" for p in split)
    assert len(bank) <= 20
    assert len(set(bank.sha256.tolist())) == len(bank)
    counts = Counter(p.label for p in found if p.split == "train")
    assert 0 < counts["ivory_worked"] <= PRODUCT_PHOTOS


def test_the_most_suspicious_negatives_are_among_them(
    recognizer: Recognizer, split: list[Photo], whole: NegativeBank
) -> None:
    column = recognizer.labels.index("ivory_worked")
    negative = ~whole.held_out & (whole.labels != "ivory_worked")
    hardest = whole.sha256[negative][whole.log_odds[negative, column].argmax()]
    room = int(whole.held_out.sum()) + int((whole.labels == "ivory_worked").sum()) + 2
    assert hardest in build_bank(recognizer, split, size=room).sha256


def test_embeddings_and_scores_are_the_models_own(
    recognizer: Recognizer, split: list[Photo], whole: NegativeBank
) -> None:
    photo = next(p for p in split if int(p.sha256[:16], 16) == int(whole.sha256[5]))
    assert np.allclose(whole.embeddings[5], recognizer.embed(photo.path).vector)
    assert whole.log_odds.shape == (len(whole), len(recognizer.labels))


def test_without_a_validation_split_some_sources_or_photos_are_held_out(
    recognizer: Recognizer, split: list[Photo]
) -> None:
    train = [replace(p, split="train") for p in split]
    bank = build_bank(recognizer, train, size=1000)
    held = set(bank.sha256[bank.held_out].tolist())
    assert 0 < len(held) < len(train) / 4
    assert "ivory_worked" not in bank.labels[bank.held_out]
    many = [replace(p, source=f"source {i % 12}") for i, p in enumerate(train)]
    bank = build_bank(recognizer, many, size=1000)
    of = {int(p.sha256[:16], 16): p for p in many}
    sources = {of[int(digest)].source for digest in bank.sha256[bank.held_out]}
    negatives = [p for p in many if not p.is_product and p.source in sources]
    assert len(negatives) == int(bank.held_out.sum())


def test_negatives_are_needed(recognizer: Recognizer, split: list[Photo]) -> None:
    with pytest.raises(DatasetError, match="no photos without a product"):
        build_bank(recognizer, [p for p in split if p.is_product and p.split == "train"])


def test_it_is_attached_to_a_bundle(split: list[Photo], tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path / "tiny-v1")
    digest = load_bundle(folder).digest
    attached = attach_bank(folder, split)
    bundle = load_bundle(folder)
    found = read_negatives(bundle)
    assert found is not None
    assert (found.sha256 == attached.sha256).all()
    assert bundle.digest == digest
    assert bundle.negatives is not None
    assert bundle.negatives.photos == len(found)
    assert bundle.negatives.bytes == (folder / "negatives.npz").stat().st_size
