"""Deal labelled photos out to folds and splits, with all photos of a source in one of them.

Sources that show the same objects, or share photos, are a *group* and stay together.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recognizer.errors import DatasetError
from recognizer.lab.dataset.manifest import SPLITS, Photo, read_rows

_MIN_SOURCES = 3  # with fewer, or one that has most of a label's photos, photos are the groups
_MIN_STRATUM = 10

_PRODUCT_WEIGHT = 4.0  # products come from few sources: other labels give way
_LACKING = np.array([9.0, 1.0, 3.0])  # what it costs a label to have nothing in a split (SPLITS)
_PRECEDENCE = (0, 2, 1)  # the splits in the order in which a label with few groups gets them
_ROUNDS = 10  # over all groups; two or three are enough for most data


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


# --- dealing groups out ---------------------------------------------------------------------------


def deal_to_splits(
    photos: Sequence[Photo], groups: Sequence[int], shares: Mapping[str, float], seed: int = 0
) -> list[str]:
    """Return the split of each photo; those of a group are in one.

    A label is in ``train`` first, in ``test`` if it has two groups, and in ``validation`` if it has
    three, whatever its shares. The order of the photos makes no difference.
    """
    first: dict[int, str] = {}
    for photo, group in zip(photos, groups, strict=True):
        first[group] = min(first.get(group, photo.sha256), photo.sha256)
    order = sorted(first, key=first.__getitem__)
    pairs = Counter((group, p.label) for p, group in zip(photos, groups, strict=True))
    labels = sorted({p.label for p in photos})
    counts = np.array([[pairs[group, label] for label in labels] for group in order])
    wanted = np.array([shares.get(split, 0.0) for split in SPLITS])
    needed = np.zeros((len(SPLITS), len(labels)))
    used = [part for part in _PRECEDENCE if wanted[part] > 0]
    for rank, part in enumerate(used):
        needed[part] = np.where((counts > 0).sum(axis=0) > rank, _LACKING[part], 0.0)
    products = {p.label for p in photos if p.is_product}
    weights = np.where([label in products for label in labels], _PRODUCT_WEIGHT, 1.0)
    dealt = _deal(counts, wanted, weights, needed, seed)
    split_of = {group: SPLITS[part] for group, part in zip(order, dealt.tolist(), strict=True)}
    return [split_of[group] for group in groups]


def _deal(
    counts: NDArray[np.int64],
    shares: NDArray[np.float64],
    weights: NDArray[np.float64],
    needed: NDArray[np.float64],
    seed: int,
) -> NDArray[np.intp]:
    """Return the part of each group for which each label is nearest to its share of each part.

    The greedy step follows Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label
    data" (2011); single groups are then moved while that makes the parts more even. ``counts``,
    (groups, labels), are photos; a part of share 0 gets nothing; ``weights`` says what each label
    counts, ``needed``, (parts, labels), what it costs one to have nothing in a part.
    """
    totals = counts.sum(axis=0)
    share_of = counts / totals
    has = counts > 0
    wanted = shares[:, None]
    unused = np.where(shares > 0, 0.0, np.inf)
    order = np.random.default_rng(seed).permutation(len(counts))
    # The groups that matter most to some label first.
    order = order[np.argsort(-share_of[order].max(axis=1), kind="stable")]
    part_of = np.full(len(counts), -1)
    dealt = np.zeros((len(shares), counts.shape[1]), np.int64)
    for _ in range(_ROUNDS):
        moved = False
        for group in order.tolist():
            before = int(part_of[group])
            if before >= 0:
                dealt[before] -= counts[group]
            grown = share_of[group] * (share_of[group] + 2 * (dealt / totals - wanted))
            grown -= np.where((dealt == 0) & has[group], needed, 0.0)
            # Rounded: equal costs must be equal on every machine, and then nothing moves.
            costs = np.round((grown * weights).sum(axis=1), 9) + unused
            part = before if before >= 0 and costs[before] == costs.min() else costs.argmin()
            dealt[part] += counts[group]
            moved |= part != before
            part_of[group] = part
        if not moved:
            break
    return part_of


# --- folds of sources -----------------------------------------------------------------------------


def read_folds(path: Path) -> dict[str, tuple[str, int]]:
    """Read a table of folds: source -> its group and fold; the column ``group`` may be missing."""
    table = dict[str, tuple[str, int]]()
    folds_of_group = defaultdict[str, set[int]](set)
    for where, row in read_rows(path, ("source", "fold")):
        source, group = row["source"], row.get("group") or row["source"]
        if not row["fold"].isdecimal():
            raise DatasetError(f"{where}: fold {row['fold']!r}: a number from 0")
        if source in table:
            raise DatasetError(f"{where}: the source {source!r} is there twice")
        table[source] = group, int(row["fold"])
        folds_of_group[group].add(int(row["fold"]))
    torn = [group for group, folds in folds_of_group.items() if len(folds) > 1]
    if torn:
        raise DatasetError(f"{path}: the group {torn[0]!r} is in more than one fold")
    numbers = {fold for _, fold in table.values()}
    if numbers != set(range(len(numbers))) or len(numbers) < 2:
        raise DatasetError(f"{path}: folds are numbered 0, 1, ... without a gap, at least two")
    return table
