"""Learn a head from a few photos, and estimate from the same photos how well it does.

Each photo is scored by a head that was fitted without its source, or if the photos are of one,
without the photo, and each held-out negative by one that was fitted without its source. The head
that is written has seen them all.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from recognizer.engine import Recognizer
from recognizer.imaging import model_input, perceptual_hash
from recognizer.imaging.near_copies import near_copies
from recognizer.lab.enrolment.negatives import NegativeBank
from recognizer.lab.enrolment.onnx_head import Head
from recognizer.taxonomy import Taxonomy


class Example(NamedTuple):
    """A photo, embedded; the first view is the photo itself."""

    path: str
    sha256: str
    phash: str | None  # its perceptual hash
    embeddings: NDArray[np.float32]  # (views, channels)
    log_odds: NDArray[np.float32]  # (views, labels), before calibration


def read_examples(
    recognizer: Recognizer, paths: Sequence[str], on_progress: Callable[[int, int], None]
) -> tuple[list[Example], dict[str, str]]:
    """Embed first frames, also mirrored, and return path -> why a photo cannot be read."""
    examples: list[Example] = []
    unreadable: dict[str, str] = {}
    for done, path in enumerate(paths, 1):
        image = recognizer.load_image(Path(path))
        if not image.frames or image.sha256 is None:
            unreadable[path] = ": ".join(filter(None, (image.reason, image.detail)))
        else:
            rgb = image.frames[0].rgb
            whole = model_input(rgb, recognizer.bundle.input.size)
            log_odds, embeddings = recognizer.features([whole, whole[:, ::-1]])
            examples.append(Example(path, image.sha256, perceptual_hash(rgb), embeddings, log_odds))
        on_progress(done, len(paths))
    return examples, unreadable


def distinct(photos: Sequence[Example]) -> tuple[list[Example], dict[str, str]]:
    """Return photos without near-copies of earlier ones, and path of a copy -> of its photo."""
    hashes, digests = ([getattr(p, name) for p in photos] for name in ("phash", "sha256"))
    firsts = [photos[first] for first in near_copies(hashes, digests)]
    pairs = list(zip(photos, firsts, strict=True))
    copies = {photo.path: first.path for photo, first in pairs if photo is not first}
    return [photo for photo, first in pairs if photo is first], copies


_PENALTY = 0.03  # of coefficients, in units of each channel's spread; 0.003 to 0.3 do as well
_FOLDS = 5
_MIN_LEFT = 2  # photos that must be left to learn from where a source is left out
_MIN_SPREAD = 0.1  # of a channel, of the mean over all channels


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """A head, fitted on all photos and negatives, and how others score what they did not see.

    ``sources`` are the folders of the photos; ``by_source`` says that whole ones were left out.
    ``counted`` are the rows of the bank that say how many false positives to expect, and
    ``negatives`` their log-odds; ``fitted`` is the number of negatives that heads are fitted to.
    """

    photos: Sequence[Example]
    bank: NegativeBank
    head: Head
    left_out: NDArray[np.float64]  # log-odds of each photo, left out with all its views
    negatives: NDArray[np.float64]
    counted: NDArray[np.intp]
    sources: NDArray[np.str_]
    by_source: bool
    fitted: int


def learn(
    photos: Sequence[Example],
    bank: NegativeBank,
    name: str,
    taxonomy: Taxonomy,
    on_progress: Callable[[int, int], None],
) -> Learned:
    """Fit the head of a new label, and others that leave out what they score.

    Labels of the same family count neither way.
    """
    family = taxonomy.members(taxonomy.labels[name].family or "")
    negative = ~np.isin(bank.labels, [label.name for label in family])
    counted = np.flatnonzero(bank.counted(taxonomy))
    # A channel that hardly varies means little, however far another image is out.
    spread = bank.embeddings[negative].std(axis=0, dtype=np.float64)
    mean = bank.embeddings[negative].mean(axis=0, dtype=np.float64)
    spread = np.maximum(spread, _MIN_SPREAD * spread.mean() + 1e-9)
    rows = (bank.embeddings - mean) / spread
    views = (np.stack([photo.embeddings for photo in photos]) - mean) / spread
    sources = np.array([str(Path(photo.path).parent) for photo in photos])
    _, sizes = np.unique(sources, return_counts=True)
    by_source = len(sizes) > 1 and len(photos) - int(sizes.max()) >= _MIN_LEFT
    everything = np.arange(len(photos))
    left_out, scores = np.empty(len(photos)), np.empty(len(bank))
    groups = sources if by_source else everything
    parts, folds = np.unique(groups), list(_folds(bank, negative, counted))
    steps = len(parts) + len(folds)
    # The fits are so small that threads only wait for each other: three times as long.
    with threadpool_limits(1):
        for done, part in enumerate(parts):
            on_progress(done, steps)
            own = groups == part
            left_out[own] = _fit(views[~own], rows[negative]).decision_function(views[own, 0])
        for done, fold in enumerate(folds, len(parts)):
            on_progress(done, steps)
            scores[fold] = _fit(views, rows[negative & ~fold]).decision_function(rows[fold])
        whole = _fit(views, rows[negative])
    weight = whole.coef_[0] / spread
    return Learned(
        photos=photos,
        bank=bank,
        head=Head(weight.astype(np.float32), float(whole.intercept_[0] - weight @ mean)),
        left_out=left_out,
        negatives=scores[counted],
        counted=counted,
        sources=sources,
        by_source=by_source,
        fitted=int(negative.sum()),
    )


def _fit(views: NDArray[np.float64], negatives: NDArray[np.float64]) -> LogisticRegression:
    """Fit a head to views, (photos, views, channels), and negatives, (N, channels)."""
    features = np.concatenate([views.reshape(-1, views.shape[2]), negatives])
    positive = np.arange(len(features)) < views.shape[0] * views.shape[1]
    model = LogisticRegression(C=1 / _PENALTY, tol=1e-6, max_iter=500)
    # Both sides weigh the same.
    return model.fit(features, positive, np.where(positive, 1 / positive.sum(), 1 / len(negatives)))


def _folds(
    bank: NegativeBank, negative: NDArray[np.bool_], counted: NDArray[np.intp]
) -> Iterator[NDArray[np.bool_]]:
    # Whole sources, counted or not: a head that has seen training photos of a source would give
    # too few false positives on held-out ones. If most are of one source, photos are dealt out.
    sources = bank.sources
    _, sizes = np.unique(sources[negative], return_counts=True)
    is_one = len(np.unique(sources[counted])) < 2
    if is_one or sizes.max() > sizes.sum() / 2:  # too little would be left to fit against
        sources = np.arange(len(sources), dtype=np.int32)
    own = sources[counted]
    for _, left_out in GroupKFold(min(_FOLDS, len(np.unique(own)))).split(own, groups=own):
        yield negative & np.isin(sources, own[left_out])
