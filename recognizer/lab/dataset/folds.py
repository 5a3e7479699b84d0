"""Deal labelled photos out to folds and splits, with all photos of a source in one of them.

Sources that show the same objects, or share photos, are a *group* and stay together.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recognizer.errors import DatasetError
from recognizer.lab.dataset.manifest import Photo, read_rows

_MIN_SOURCES = 3  # with fewer, or one that has most of a label's photos, photos are the groups
_MIN_STRATUM = 10
_PRODUCT_WEIGHT = 4.0  # products come from few sources: other labels give way


def stratified_folds(
    truth: Sequence[str], sources: Sequence[str], count: int
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Split photos into up to ``count`` folds, stratified by label and grouped by source.

    The photos of labels that come from one or two sources are not grouped: to leave one of these
    sources out would leave nothing to learn from. A fold is the rows to learn from, and the others.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415 - an extra

    photos_of = Counter(truth)
    sources_of = defaultdict[str, Counter[str]](Counter)
    for label, source in zip(truth, sources, strict=True):
        sources_of[label][source] += 1
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
    count = min(count, len(set(groups)), max(Counter(strata).values(), default=0))
    if count < 2:
        raise DatasetError(f"{len(truth)} photos of one source: too few to split")
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=0)
    return list(splitter.split(np.zeros(len(truth)), strata, groups))


def deal_to_splits(
    photos: Sequence[Photo], groups: Sequence[int], share: float, seed: int = 0
) -> list[str]:
    """Return the split of each photo, ``train`` or ``test``; those of a group are in one.

    ``share`` is that of ``test``. At least half of a label's groups are in ``train``, and one is in
    ``test`` if it has two, whatever the share. The order of the photos makes no difference.
    """
    first: dict[int, str] = {}
    for photo, group in zip(photos, groups, strict=True):
        first[group] = min(first.get(group, photo.sha256), photo.sha256)
    order = np.random.default_rng(seed).permutation(sorted(first, key=first.__getitem__)).tolist()
    pairs = Counter((group, p.label) for p, group in zip(photos, groups, strict=True))
    names = {p.label: p.is_product for p in photos}
    labels = sorted(names)
    counts = np.array([[pairs[group, label] for label in labels] for group in order])
    weights = np.array([_PRODUCT_WEIGHT if names[label] else 1.0 for label in labels])
    drawn = {order[place] for place in _draw(counts, share, weights)} if share else ()
    return ["test" if group in drawn else "train" for group in groups]


def _draw(counts: NDArray[np.int64], share: float, weights: NDArray[np.float64]) -> list[int]:
    """Return groups with about a share of each label's photos; ``counts`` are (groups, labels).

    The labels of the fewest groups choose first (Sechidis, Tsoumakas and Vlahavas, "On the
    stratification of multi-label data", 2011), and at least half of each label's are not drawn.
    scikit-learn's StratifiedGroupKFold leaves labels of two or three groups out of a split.
    """
    share_of, has = counts / counts.sum(axis=0), counts > 0
    dealt, keeps = np.zeros(counts.shape[1]), has.sum(axis=0)
    kept = keeps / 2
    chosen: list[int] = []

    def cost(group: int) -> float:
        change = share_of[group] * (share_of[group] + 2 * (dealt - share))
        return round(float((weights * change).sum()), 9)  # equal on every machine

    for label in np.argsort(keeps, kind="stable").tolist():
        own = np.flatnonzero(has[:, label]).tolist()
        for is_needed in (False, True):
            for group in sorted(own, key=cost) if is_needed else own:
                is_wanted = dealt[label] == 0 if is_needed else cost(group) < 0
                can_go = (keeps - 1 >= kept)[has[group]].all()
                if is_wanted and can_go and group not in chosen:
                    chosen.append(group)
                    dealt += share_of[group]
                    keeps -= has[group]
    return chosen


def read_folds(path: Path) -> dict[str, tuple[str, int]]:
    """Read a table of folds: source -> its group and fold; the column ``group`` may be missing.

    Sources without a fold, -1, are never left out: the first weights learned from them, say.
    """
    table = dict[str, tuple[str, int]]()
    folds_of_group = defaultdict[str, set[int]](set)
    for where, row in read_rows(path, ("source", "fold")):
        source, group = row["source"], row.get("group") or row["source"]
        if row["fold"] and not row["fold"].isdecimal():
            raise DatasetError(f"{where}: fold {row['fold']!r}: a number from 0, or nothing")
        if source in table:
            raise DatasetError(f"{where}: the source {source!r} is listed twice")
        table[source] = group, int(row["fold"] or -1)
        folds_of_group[group].add(table[source][1])
    if torn := [group for group, folds in folds_of_group.items() if len(folds) > 1]:
        raise DatasetError(f"{path}: the group {torn[0]!r} is in more than one fold")
    numbers = {fold for _, fold in table.values()}
    if numbers - {-1} != set(range(len(numbers - {-1}))) or len(numbers) < 2:
        raise DatasetError(f"{path}: folds are numbered 0, 1, ... without a gap, at least two")
    return table
