"""Learn a head from a few photos, and estimate from the same photos how well it does.

Each photo is scored by a head that was fitted without its source, or if the photos are of one,
without the photo, and each held-out negative by one that was fitted without its source. The head
that is written has seen them all.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from recognizer.engine import Recognizer
from recognizer.imaging import model_input
from recognizer.known.index import near_copies
from recognizer.lab.enrolment.onnx_head import Head
from recognizer.model.negatives import NegativeBank, hash_bytes, short_digests
from recognizer.model.numerics import unit_norm
from recognizer.prediction import MAX_DISTANCE
from recognizer.taxonomy import Taxonomy

_NEAR_COPY_COSINE = 0.95  # of the embeddings of photos whose hashes match


class Example(NamedTuple):
    """A photo, embedded; the first view is the photo itself."""

    path: str
    sha256: str
    phash: NDArray[np.uint8]  # (32,)
    embeddings: NDArray[np.float32]  # (views, channels)
    log_odds: NDArray[np.float32]  # (views, labels), before calibration


def read_examples(
    recognizer: Recognizer,
    paths: Sequence[str],
    *,
    mirrored: bool,
    on_progress: Callable[[int, int], None],
) -> tuple[list[Example], dict[str, str]]:
    """Embed the first frames of photos; also return path -> why a photo cannot be read."""
    examples: list[Example] = []
    unreadable: dict[str, str] = {}
    for done, path in enumerate(paths, 1):
        image = recognizer.load_image(Path(path))
        if not image.frames or image.sha256 is None:
            unreadable[path] = ": ".join(filter(None, (image.reason, image.detail)))
        else:
            rgb = image.frames[0].rgb
            expected = recognizer.bundle.input
            whole = model_input(rgb, expected.size, version=expected.preprocessing)
            views = [whole, whole[:, ::-1]] if mirrored else [whole]
            log_odds, embeddings = recognizer.features(views)
            examples.append(Example(path, image.sha256, hash_bytes(rgb), embeddings, log_odds))
        on_progress(done, len(paths))
    return examples, unreadable


def distinct(photos: Sequence[Example]) -> tuple[list[Example], dict[str, str]]:
    """Return photos without near-copies of earlier ones, and path of a copy -> of its photo."""
    hashes = [photo.phash.tobytes().hex() if photo.phash.any() else None for photo in photos]
    firsts = [photos[first] for first in near_copies(hashes, [photo.sha256 for photo in photos])]
    pairs = list(zip(photos, firsts, strict=True))
    copies = {photo.path: first.path for photo, first in pairs if photo is not first}
    return [photo for photo, first in pairs if photo is first], copies


def as_negatives(photos: Sequence[Example], label: str = "") -> NegativeBank:
    """Return photos as rows of a bank: of a label as one source, else held out, each its own."""
    count = len(photos)
    return NegativeBank(
        np.stack([photo.embeddings[0] for photo in photos]),
        np.stack([photo.log_odds[0] for photo in photos]),
        np.full(count, label, dtype=f"<U{max(1, len(label))}"),
        np.zeros(count, np.int32) if label else np.arange(count, dtype=np.int32),
        np.full(count, not label),
        short_digests([photo.sha256 for photo in photos]),
        np.stack([photo.phash for photo in photos]),
    )


def copies_in(bank: NegativeBank, photo: Example) -> NDArray[np.bool_]:
    """Return a mask of rows, (N,): of the same bytes, or near by hash, if any, and embedding."""
    bits = np.unpackbits(bank.phash ^ photo.phash, axis=1).sum(axis=1)
    cosine = unit_norm(bank.embeddings) @ unit_norm(photo.embeddings[:1])[0]
    near = (bits <= MAX_DISTANCE) & (cosine >= _NEAR_COPY_COSINE) & photo.phash.any()
    return np.asarray((bank.sha256 == short_digests([photo.sha256])[0]) | near, bool)


_OWN_WEIGHTS = (1.0, 0.5, 0.0)  # of a known label's old log-odds, in order of preference
_PENALTY = 0.03  # of coefficients, in units of each channel's spread; 0.003 to 0.3 do as well
_FOLDS = 5
_MIN_LEFT = 2  # photos that must be left to learn from where a source is left out
_MIN_SPREAD = 0.1  # of a channel, of the mean over all channels


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """A head, fitted on all photos and negatives, and how others score what they did not see."""

    head: Head
    left_out: NDArray[np.float64]  # log-odds of each photo, left out with all its views
    negatives: NDArray[np.float64]  # log-odds of the held-out negatives without a product

    @property
    def rank(self) -> float:
        """Mean logarithm of the share of negatives that score as high as a photo; low is good."""
        above = (self.negatives[None] >= self.left_out[:, None]).sum(axis=1)
        return float(np.log((1 + above) / (1 + len(self.negatives))).mean())


class Learner:
    """Fits heads for one label, on its photos and a bank of all other photos.

    The bank has those of the label that the bundle was trained on: rows that are ``known``. Those
    that are ``counted`` say how many false positives to expect. Labels of the same family count
    neither way.
    """

    def __init__(
        self, photos: Sequence[Example], bank: NegativeBank, name: str, taxonomy: Taxonomy
    ) -> None:
        self.photos, self.bank = photos, bank
        family = taxonomy.members(taxonomy.labels[name].family or "")
        self._negative = ~np.isin(bank.labels, [label.name for label in family])
        self.counted = np.flatnonzero(bank.counted(taxonomy))
        rows = bank.embeddings[self._negative].astype(np.float64)
        # A channel that hardly varies means little, however far another image is out.
        spread = rows.std(axis=0)
        self._mean = rows.mean(axis=0)
        self._spread = np.maximum(spread, _MIN_SPREAD * spread.mean() + 1e-9)
        self._rows = self._scaled(bank.embeddings)
        self._views = self._scaled(np.stack([photo.embeddings for photo in photos]))
        self.sources = np.array([str(Path(photo.path).parent) for photo in photos])
        """A source of each photo: its folder."""
        _, sizes = np.unique(self.sources, return_counts=True)
        self.by_source = len(sizes) > 1 and len(photos) - int(sizes.max()) >= _MIN_LEFT
        self.known = np.flatnonzero(bank.labels == name)
        self.negatives = int(self._negative.sum())  # photos that a head is fitted against

    def learn(self, column: int | None, on_progress: Callable[[int, int], None]) -> Learned:
        """Fit the head, and others that leave out what they score.

        ``column`` is the label's in the bundle, None for a new one. The log-odds that a known label
        has already are added to its head where that finds the photos better.
        """
        everything = np.arange(len(self.photos))
        left_out, scores = np.empty(len(everything)), np.empty(len(self.bank))
        groups = self.sources if self.by_source else everything
        parts, folds = np.unique(groups), list(self._folds())
        steps = len(parts) + len(folds)
        # The fits are so small that threads only wait for each other: three times as long.
        with threadpool_limits(1):
            for done, part in enumerate(parts):
                on_progress(done, steps)
                own = groups == part
                head = self._fit(everything[~own], self._negative)
                left_out[own] = head.decision_function(self._views[own, 0])
            for done, fold in enumerate(folds, len(parts)):
                on_progress(done, steps)
                head = self._fit(everything, self._negative & ~fold)
                scores[fold] = head.decision_function(self._rows[fold])
            whole = self._fit(everything, self._negative)
        weight = whole.coef_[0] / self._spread
        plain = Head(weight.astype(np.float32), float(whole.intercept_[0] - weight @ self._mean))
        counted = scores[self.counted]
        if column is None:
            return Learned(plain, left_out, counted)
        own = np.array([photo.log_odds[0, column] for photo in self.photos])
        others = self.bank.log_odds[self.counted, column]
        options = [
            Learned(replace(plain, own_weight=old), left_out + old * own, counted + old * others)
            for old in _OWN_WEIGHTS
        ]
        return min(options, key=lambda option: option.rank)  # the first of equals

    def _fit(self, photos: NDArray[np.int64], negative: NDArray[np.bool_]) -> LogisticRegression:
        # Both sides weigh the same.
        views = self._views[photos]
        known, others = self._rows[self.known], self._rows[negative]
        count = len(photos) + len(known)
        sizes = [views.shape[0] * views.shape[1], len(known), len(others)]
        weights = np.repeat([1 / (count * views.shape[1]), 1 / count, 1 / len(others)], sizes)
        features = np.concatenate([views.reshape(-1, views.shape[2]), known, others])
        positive = np.arange(len(features)) < sizes[0] + sizes[1]
        model = LogisticRegression(C=1 / _PENALTY, tol=1e-6, max_iter=500)
        return model.fit(features, positive, weights)

    def _scaled(self, embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray((embeddings - self._mean) / self._spread, np.float64)

    def _folds(self) -> Iterator[NDArray[np.bool_]]:
        # Whole sources, counted or not: a head that has seen training photos of a source would give
        # too few false positives on held-out ones. If most are of one source, photos are dealt out.
        sources = self.bank.sources
        _, sizes = np.unique(sources[self._negative], return_counts=True)
        is_one = len(np.unique(sources[self.counted])) < 2
        if is_one or sizes.max() > sizes.sum() / 2:  # too little would be left to fit against
            sources = np.arange(len(sources), dtype=np.int32)
        counted = sources[self.counted]
        folds = GroupKFold(min(_FOLDS, len(np.unique(counted))))
        for _, left_out in folds.split(counted, groups=counted):
            yield self._negative & np.isin(sources, counted[left_out])
