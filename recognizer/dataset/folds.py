"""Cross-validation folds of labelled photos that keep a source together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from recognizer.errors import DatasetError

FOLDS = 5

Group = TypeVar("Group", str, int)

_MIN_SOURCES = 3  # with fewer, or one that has most of a label's photos, photos are the groups
_MIN_STRATUM = 10


def stratified_folds(
    truth: Sequence[str], sources: Sequence[str]
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Split photos into up to :data:`FOLDS` folds, stratified by label and grouped by source.

    The photos of labels that come from one or two sources are not grouped: to leave one of these
    sources out would leave nothing to learn from. A fold is the rows to learn from, and the others.

    Raises:
        DatasetError: there are too few photos to split.
    """
    photos_of = Counter(truth)
    sources_of: dict[str, Counter[str]] = {}
    for label, source in zip(truth, sources, strict=True):
        sources_of.setdefault(label, Counter())[source] += 1
    by_source = {
        label: len(found) >= _MIN_SOURCES and max(found.values()) <= photos_of[label] / 2
        for label, found in sources_of.items()
    }
    groups = [
        source if by_source[label] else f"photo {i}"
        for i, (label, source) in enumerate(zip(truth, sources, strict=True))
    ]
    # A stratum needs a photo for each fold: labels with few photos go with the commonest.
    commonest = photos_of.most_common(1)[0][0] if photos_of else ""
    strata = [n if photos_of[n] >= _MIN_STRATUM else commonest for n in truth]
    count = min(FOLDS, len(set(groups)), max(Counter(strata).values(), default=0))
    if count < 2:
        raise DatasetError(f"{len(truth)} photos of one source: too few to split")
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=0)
    return list(splitter.split(np.zeros(len(truth)), strata, groups))


def deal(counts: Mapping[Group, int], sizes: Sequence[int]) -> dict[Group, int]:
    """Deal groups to folds, the largest group first, each to the fold with the fewest photos."""
    filled = list(sizes)
    fold_of = {}
    for group, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        fold_of[group] = filled.index(min(filled))
        filled[fold_of[group]] += count
    return fold_of
