"""Near-copies among many images: groups, so that one decision covers all of a group."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from recognizer.known.hashes import to_bytes
from recognizer.known.index import HashIndex

COPY_DISTANCE = 20
"""Bits in which the hashes of near-copies differ at most.

Less than :data:`recognizer.prediction.MAX_DISTANCE`, for a match with a known item only makes
somebody look, while a decision that covers a copy has to be right for it. Resizing and
recompression stay far below it.
"""


def near_copies(
    hashes: Sequence[str | None],
    exact: Sequence[Hashable | None],
    distance: int = COPY_DISTANCE,
) -> NDArray[np.intp]:
    """Group images: those with equal bytes, those with near hashes, and what follows from that.

    A near-copy of a near-copy is of the same group, so that two of its images may differ in more
    than ``distance`` bits. ``exact`` holds what only equal files share, such as a digest. Returns
    the position of the first image of each one's group.
    """
    forest = _Forest(len(hashes))
    first_of: dict[Hashable, int] = {}
    for position, subject in enumerate(exact):
        if subject is not None:
            forest.join(first_of.setdefault(subject, position), position)
    # Equal hashes once: there may be thousands of copies of one banner, and they are many pairs.
    first_with: dict[str, int] = {}
    for position, hash_ in enumerate(hashes):
        if hash_ is not None:
            forest.join(first_with.setdefault(hash_, position), position)
    firsts = list(first_with.values())
    index = HashIndex(to_bytes(list(first_with)))
    for left, right in index.pairs(distance):
        for one, other in zip(left.tolist(), right.tolist(), strict=True):
            forest.join(firsts[one], firsts[other])
    return np.array([forest.root(position) for position in range(len(hashes))], np.intp)


class _Forest:
    """Disjoint sets, each known by its smallest member."""

    def __init__(self, size: int) -> None:
        self._above = list(range(size))

    def root(self, member: int) -> int:
        above = self._above
        while above[member] != member:
            above[member] = above[above[member]]
            member = above[member]
        return member

    def join(self, one: int, other: int) -> None:
        one, other = self.root(one), self.root(other)
        self._above[max(one, other)] = min(one, other)
