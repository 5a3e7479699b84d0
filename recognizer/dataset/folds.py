"""Cross-validation that keeps a source on one side, where a label has sources enough for that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from recognizer.errors import DatasetError

FOLDS = 5

_FEWEST_SOURCES = 3  # with fewer, or one that has most of a label's photos, photos are the groups
_FEWEST_IN_STRATUM = 10


def folds(
    truth: Sequence[str], sources: Sequence[str]
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Split photos for cross-validation.

    A source is never on both sides, but for labels that come from one or two places: to leave one
    of those out would leave nothing to learn from.

    Args:
        truth: the N labels.
        sources: where the N photos come from.

    Returns:
        For each of up to :data:`FOLDS` folds the rows to learn from and the rows left out.

    Raises:
        DatasetError: there are too few photos to split.
    """
    photos_of = Counter(truth)
    places: dict[str, Counter[str]] = {}
    for label, source in zip(truth, sources, strict=True):
        places.setdefault(label, Counter())[source] += 1
    by_source = {
        label: len(found) >= _FEWEST_SOURCES and max(found.values()) <= photos_of[label] / 2
        for label, found in places.items()
    }
    groups = [
        source if by_source[label] else f"photo {i}"
        for i, (label, source) in enumerate(zip(truth, sources, strict=True))
    ]
    # A stratum needs a photo for each fold: labels with few photos go with the commonest.
    commonest = photos_of.most_common(1)[0][0] if photos_of else ""
    strata = [n if photos_of[n] >= _FEWEST_IN_STRATUM else commonest for n in truth]
    count = min(FOLDS, len(set(groups)), max(Counter(strata).values(), default=0))
    if count < 2:
        raise DatasetError(f"{len(truth)} photos of one source: too few to split")
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=0)
    return list(splitter.split(np.zeros(len(truth)), strata, groups))
