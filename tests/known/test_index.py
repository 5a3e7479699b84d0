from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizer.known import HashIndex, near_pairs
from recognizer.prediction import MAX_DISTANCE
from tests.known.hashes import brute_force, random_hashes, with_flips


def found(index: HashIndex, sought: np.ndarray, distance: int) -> list[tuple[int, int, int]]:
    return [
        (int(a), int(b), int(c)) for a, b, c in zip(*index.search(sought, distance), strict=True)
    ]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, MAX_DISTANCE), st.integers(0, 60))
def test_it_finds_exactly_what_comparing_all_finds(seed: int, distance: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    centres = random_hashes(4, seed)
    # Clusters whose members are some bits apart, and so around the distance from one another.
    hashes = np.array(
        [with_flips(centres[i % 4], int(rng.integers(0, 40)), seed + i) for i in range(count)],
        np.uint8,
    ).reshape(-1, 32)
    index = HashIndex(hashes)
    assert len(index) == count
    assert found(index, centres, distance) == brute_force(hashes, centres, distance)
    pairs = {
        tuple(map(int, pair))
        for block in near_pairs(hashes, distance)
        for pair in zip(*block, strict=True)
    }
    assert pairs == {pair for pair in brute_force(hashes, hashes, distance) if pair[0] < pair[1]}


@pytest.mark.parametrize("flips", [0, 1, 15, 16, 17, 30, 31])
@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_missed_at_the_very_distance(flips: int, seed: int) -> None:
    hashes = random_hashes(500)
    index = HashIndex(hashes)
    near = with_flips(hashes[123], flips, seed)[None]
    assert found(index, near, flips) == [(0, 123, flips)]
    if flips:
        assert found(index, near, flips - 1) == []


def test_an_empty_index_finds_nothing(tmp_path: Path) -> None:
    index = HashIndex(np.zeros((0, 32), np.uint8))
    assert found(index, random_hashes(2), 31) == []
    assert list(near_pairs(np.zeros((0, 32), np.uint8), match_orientations=True)) == []
    index.save(tmp_path)
    assert found(HashIndex.open(tmp_path), random_hashes(2), 31) == []


def _search(folder: Path, sought: np.ndarray) -> tuple[list[int], bool]:
    index = HashIndex.open(folder)
    return index.search(sought)[1].tolist(), isinstance(index._order.base, np.memmap)


def test_other_processes_map_the_same_files(tmp_path: Path) -> None:
    hashes = random_hashes(3000)
    HashIndex(hashes).save(tmp_path)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        positions, is_mapped = pool.apply(_search, (tmp_path, hashes[[5]]))
    assert positions == [5]
    assert is_mapped
