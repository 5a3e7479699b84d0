from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizer.known import near_copies
from tests.known.hashes import random_hashes, with_flips
from tests.pictures import distance


def parts(groups: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(groups == root).tolist()) for root in set(groups.tolist())}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 25), st.data())
def test_groups_are_what_follows_from_pairs_in_any_order(
    seed: int, count: int, data: st.DataObject
) -> None:
    centres = random_hashes(3, seed)
    rng = np.random.default_rng(seed)
    hashes = [
        with_flips(centres[i % 3], int(rng.integers(0, 25)), seed + i).tobytes().hex()
        if rng.random() < 0.9
        else None
        for i in range(count)
    ]
    exact = [int(rng.integers(0, 30)) if rng.random() < 0.8 else None for _ in range(count)]

    def linked(i: int, j: int) -> bool:
        near = None not in (hashes[i], hashes[j]) and distance(hashes[i], hashes[j]) <= 20
        return near or (exact[i] is not None and exact[i] == exact[j])

    expected = {i: {i} for i in range(count)}
    for i in range(count):
        for j in range(i):
            if linked(i, j) and expected[i] is not expected[j]:
                expected[i] |= expected[j]
                for member in expected[j]:
                    expected[member] = expected[i]
    groups = near_copies(hashes, exact, 20)
    assert parts(groups) == {frozenset(members) for members in expected.values()}
    assert all(root == min(np.flatnonzero(groups == root)) for root in groups)

    order = data.draw(st.permutations(range(count)))
    shuffled = near_copies([hashes[i] for i in order], [exact[i] for i in order], 20)
    assert {frozenset(order[i] for i in part) for part in parts(shuffled)} == parts(groups)


def test_thousands_of_copies_of_one_picture_are_one_group() -> None:
    one, other = (hash_.tobytes().hex() for hash_ in random_hashes(2))
    groups = near_copies([one, other] * 20_000, [None] * 40_000)
    assert groups.tolist() == [0, 1] * 20_000
