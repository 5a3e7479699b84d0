"""Choose the photos of a bundle's bank of negatives, which later enrolments need."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import kmeans_plusplus

from recognizer.engine import Recognizer
from recognizer.errors import DatasetError
from recognizer.lab.dataset.manifest import Photo, in_chunks
from recognizer.lab.enrolment.negatives import NegativeBank
from recognizer.lab.evaluation.learned import short_digests
from recognizer.lab.training.cache import PhotoCache
from recognizer.model.numerics import unit_norm
from recognizer.taxonomy import Kind

BANK_PHOTOS = 3000  # with 1280 channels about 2.4 MB
PRODUCT_PHOTOS = 30  # of each product: enough to tell it from the others
_ONE_IN = 10  # sources without a product are held out
_HARDEST = 0.5  # share of the training photos without a product that are the hardest


def build_bank(
    recognizer: Recognizer, photos: Sequence[Photo], cache: PhotoCache, size: int = BANK_PHOTOS
) -> NegativeBank:
    """Embed photos, and choose up to ``size`` of them."""
    whole = _embed(recognizer, photos, cache)
    product = np.array([p.is_product for p in photos])
    columns = [i for i, label in enumerate(recognizer.bundle.labels) if label.kind is Kind.PRODUCT]
    suspicion = recognizer.bundle.calibrate(whole.log_odds)[:, columns].max(axis=1, initial=0)
    chosen = np.flatnonzero(whole.held_out).tolist()
    for label in np.unique(whole.labels[product]):
        rows = np.flatnonzero((whole.labels == label) & ~whole.held_out).tolist()
        chosen += _diverse(whole.embeddings, rows, PRODUCT_PHOTOS)
    left = np.flatnonzero(~product & ~whole.held_out)
    room = max(0, size - len(chosen))
    hardest = left[np.argsort(-suspicion[left], kind="stable")][: round(_HARDEST * room)]
    rest = np.setdiff1d(left, hardest).tolist()
    chosen += hardest.tolist() + _diverse(whole.embeddings, rest, room - len(hardest))
    return whole[np.array(sorted(chosen))]


def _diverse(embeddings: NDArray[np.float32], rows: list[int], count: int) -> list[int]:
    """Return rows that differ, as k-means++ (Arthur and Vassilvitskii, 2007) draws centres."""
    members = unit_norm(embeddings[rows])
    count = min(count, len(rows))
    _, places = (
        kmeans_plusplus(members, count, random_state=0, n_local_trials=1) if count else ([], [])
    )
    return [rows[place] for place in places]


def _held_out(photos: Sequence[Photo]) -> NDArray[np.bool_]:
    """Return which photos are held out: one source in ten, or one photo where there are few."""
    negatives = [p for p in photos if not p.is_product]
    several = len({p.source for p in negatives}) >= _ONE_IN
    keys = {p.sha256: p.source if several else p.sha256 for p in negatives}
    order = sorted(set(keys.values()), key=lambda key: sha256(key.encode()).digest())
    chosen = set(order[::_ONE_IN])
    if not chosen:
        raise DatasetError("no photos without a product: false positives could not be counted")
    return np.array([keys.get(p.sha256) in chosen for p in photos])


def _embed(recognizer: Recognizer, photos: Sequence[Photo], cache: PhotoCache) -> NegativeBank:
    held_out = _held_out(photos)

    def run(chunk: Sequence[Photo]) -> list[tuple[NDArray[Any], ...]]:
        features = recognizer.features([cache.rgb(p.sha256) for p in chunk])
        return list(zip(*features, strict=True))

    log_odds, embeddings = map(np.stack, zip(*in_chunks(run, photos), strict=True))
    _, sources = np.unique([p.source for p in photos], return_inverse=True)
    return NegativeBank(
        embeddings,
        log_odds,
        np.array([p.label for p in photos]),
        sources.astype(np.int32),
        held_out,
        short_digests([p.sha256 for p in photos]),
    )
