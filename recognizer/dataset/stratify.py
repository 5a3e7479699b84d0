"""Deal groups of photos to splits, so that each label has its share of each split.

The greedy step follows Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label
data" (2011); single groups are then moved while that makes the splits more even.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

SPLITS = ("train", "test", "validation")
"""In the order in which a label with few groups gets them."""

_LACKING = (9.0, 3.0, 1.0)  # what it costs a label to have nothing in a split that it could have
_ROUNDS = 10  # over all groups; two or three are enough for most data
_STARTS = 40  # orders that are tried, of which the best counts
_MAX_DEALT = 20_000  # groups that are dealt in all starts: with many groups one order is enough


def deal_to_splits(
    labels: Sequence[str],
    groups: Sequence[int],
    shares: Mapping[str, float],
    seed: int = 0,
    *,
    keys: Sequence[str] | None = None,
    weights: Mapping[str, float] | None = None,
) -> list[str]:
    """Return the split of each photo; those of a group are in one.

    A label is in ``train`` first, in ``test`` if it has two groups, and in ``validation`` if it has
    three, whatever its shares.

    Args:
        labels: of the photos.
        groups: the group of each photo, the position of one of its members.
        shares: split -> its share of the photos; the sum is 1.
        seed: of the draw among equal choices.
        keys: what identifies a photo, so that the order of the photos makes no difference; None for
            their positions.
        weights: what a label counts where others have to give way; 1 if it is not named.
    """
    counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
    first: dict[int, str] = {}
    for place, (group, label) in enumerate(zip(groups, labels, strict=True)):
        counts[group][label] += 1
        key = keys[place] if keys else f"{place:09}"
        first[group] = min(first.get(group, key), key)
    wanted = [shares.get(split, 0.0) for split in SPLITS]
    best: tuple[float, dict[int, int]] | None = None
    for start in range(max(1, min(_STARTS, _MAX_DEALT // max(1, len(counts))))):
        draws = {
            group: hashlib.sha256(f"{seed}:{start}:{key}".encode()).digest()
            for group, key in first.items()
        }
        dealing = _Dealing(counts, wanted, weights or {})
        importance = dealing.importance if start == 0 else lambda _: 0.0  # then at random
        order = sorted(counts, key=lambda group: (-importance(counts[group]), draws[group]))
        split_of = _search(counts, order, dealing)
        if best is None or dealing.cost() < best[0]:
            best = dealing.cost(), split_of
    found = best[1] if best else {}
    return [SPLITS[found[group]] for group in groups]


def _search(
    counts: Mapping[int, Counter[str]], order: Sequence[int], dealing: _Dealing
) -> dict[int, int]:
    """Deal the groups in an order, then move single ones while that makes the splits more even."""
    split_of = {group: dealing.put(counts[group]) for group in order}
    for _ in range(_ROUNDS):
        moved = 0
        for group in order:
            before = split_of[group]
            dealing.take(counts[group], before)
            split_of[group] = dealing.put(counts[group], before)
            moved += split_of[group] != before
        if not moved:
            break
    return split_of


class _Dealing:
    """How many photos of each label are in each split so far, and what that is worth."""

    def __init__(
        self,
        counts: Mapping[int, Counter[str]],
        shares: Sequence[float],
        weights: Mapping[str, float],
    ) -> None:
        self._shares = shares
        self._totals: Counter[str] = Counter()
        groups: Counter[str] = Counter()
        for count in counts.values():
            self._totals.update(count)
            groups.update(count.keys())
        self._used = [split for split, share in enumerate(shares) if share > 0]
        self._required = {label: self._used[: groups[label]] for label in self._totals}
        self._weights = {label: weights.get(label, 1.0) for label in self._totals}
        self._dealt = {label: [0] * len(SPLITS) for label in self._totals}

    def importance(self, count: Counter[str]) -> float:
        """Return the largest share of a label's photos that a group has."""
        return max(number / self._totals[label] for label, number in count.items())

    def put(self, count: Counter[str], stay: int | None = None) -> int:
        """Put a group where it costs least, or leave it where that is as good; return the split."""
        costs = [(self._growth(count, split), split != stay, split) for split in self._used]
        split = min(costs)[2]
        for label, number in count.items():
            self._dealt[label][split] += number
        return split

    def take(self, count: Counter[str], split: int) -> None:
        """Take a group out of its split."""
        for label, number in count.items():
            self._dealt[label][split] -= number

    def cost(self) -> float:
        """Return the cost of all labels.

        That of a label is the squared distance of its shares from those that are wanted, and what
        it lacks.
        """
        total = 0.0
        for label, dealt in self._dealt.items():
            apart = sum(
                (dealt[split] / self._totals[label] - self._shares[split]) ** 2
                for split in self._used
            )
            lacking = sum(_LACKING[s] for s in self._required[label] if not dealt[s])
            total += self._weights[label] * (apart + lacking)
        return round(total, 9)  # equal deals must be equal on every machine

    def _growth(self, count: Counter[str], split: int) -> float:
        """Return how the cost grows if a group is put into a split: only its terms change."""
        growth = 0.0
        for label, number in count.items():
            total, dealt = self._totals[label], self._dealt[label][split]
            share, apart = number / total, dealt / total - self._shares[split]
            grown = share * (share + 2 * apart)
            if not dealt and split in self._required[label]:
                grown -= _LACKING[split]
            growth += self._weights[label] * grown
        return round(growth, 12)
