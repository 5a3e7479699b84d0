from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from recognizer.errors import DatasetError
from recognizer.lab.training.cache import PhotoCache
from recognizer.lab.training.negative_bank import PRODUCT_PHOTOS, build_bank
from tests.labelled import deal


@pytest.fixture(scope="module")
def train(labelled_photos):
    return deal(labelled_photos, "train", sources="abc")


@pytest.fixture(scope="module")
def cache(recognizer, train, tmp_path_factory):
    path = tmp_path_factory.mktemp("cache") / "photos.sqlite"
    with PhotoCache(path, recognizer.bundle.input.size) as made:
        made.fill(train)
        yield made


@pytest.fixture(scope="module")
def whole(recognizer, train, cache):
    return build_bank(recognizer, train, cache, size=1000)


def test_a_bank_has_photos_of_all_labels_and_some_that_are_held_out(recognizer, train, cache):
    bank = build_bank(recognizer, train, cache, size=20)
    by_digest = {int(p.sha256[:16], 16): p for p in train}
    assert [by_digest[int(digest)].label for digest in bank.sha256] == bank.labels.tolist()
    assert len(set(bank.sha256.tolist())) == len(bank) <= 20
    assert 0 < (bank.labels == "ivory_worked").sum() <= PRODUCT_PHOTOS


def test_the_most_suspicious_negatives_are_among_them(recognizer, train, cache, whole):
    column = recognizer.labels.index("ivory_worked")
    negative = ~whole.held_out & (whole.labels != "ivory_worked")
    hardest = whole.sha256[negative][whole.log_odds[negative, column].argmax()]
    room = int(whole.held_out.sum()) + int((whole.labels == "ivory_worked").sum()) + 2
    assert hardest in build_bank(recognizer, train, cache, size=room).sha256


def test_one_source_in_ten_or_some_photos_are_held_out(recognizer, train, cache, whole):
    photo = next(p for p in train if int(p.sha256[:16], 16) == int(whole.sha256[5]))
    assert np.allclose(whole.embeddings[5], recognizer.embed(photo.path))
    assert 0 < whole.held_out.sum() < len(train) / 4
    assert "ivory_worked" not in whole.labels[whole.held_out]
    many = [replace(p, source=f"source {i % 12}") for i, p in enumerate(train)]
    bank = build_bank(recognizer, many, cache, size=1000)
    of = {int(p.sha256[:16], 16): p for p in many}
    sources = {of[int(digest)].source for digest in bank.sha256[bank.held_out]}
    negatives = [p for p in many if not p.is_product and p.source in sources]
    assert len(negatives) == int(bank.held_out.sum())
    with pytest.raises(DatasetError, match="no photos without a product"):
        build_bank(recognizer, [p for p in train if p.is_product], cache)


def test_threads_read_a_cache_together(train, cache):
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(lambda photo: cache.rgb(photo.sha256).shape, train * 200)]
    assert len({*found}) == 1
