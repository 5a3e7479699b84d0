"""Exact search among millions of 256-bit hashes for those within a small Hamming distance.

Multi-index hashing (Norouzi, Punjani, Fleet 2012): of hashes that differ in at most 31 bits, some
chunk of 16 bits differs in at most one.
"""

import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recognizer.errors import UsageError
from recognizer.prediction import HASH_BITS, MAX_DISTANCE

HASH_BYTES = HASH_BITS // 8

TRANSFORMS = (
    *("identity", "flip_left_right", "flip_top_bottom", "rotate_180"),
    *("transpose", "rotate_90", "rotate_270", "transverse"),
)
"""The eight ways to turn and mirror an image, by the names that Pillow has for them."""

_HASH_SIDE = 16
# Of a hash's 16 x 16 coefficients, the odd frequencies (the first, the third ...) change their
# sign when the image is mirrored. They are written from the last to the first.
_ODD = (np.arange(_HASH_SIDE)[::-1] % 2 == 0).astype(np.uint8)
_WAYS = ((0, 0), (0, 1), (1, 0), (1, 1))  # from top to bottom, from left to right
_MIRRORS = np.stack([down * _ODD[:, None] ^ right * _ODD for down, right in _WAYS])


def to_bytes(hashes: Sequence[str]) -> NDArray[np.uint8]:
    """Return hexadecimal hashes as uint8, (n, 32)."""
    return np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(-1, HASH_BYTES)


def transformed(hash_: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Estimate what a hash, uint8 (32,), would be after each of :data:`TRANSFORMS`: uint8 (8, 32).

    Those that mirror are some 6 bits off: a bit is the side of the median on which a coefficient
    lies, and the median is only near zero.
    """
    bits = np.unpackbits(hash_).reshape(_HASH_SIDE, _HASH_SIDE)
    upright, transposed = bits ^ _MIRRORS, bits.T ^ _MIRRORS
    # Transposed and then mirrored from top to bottom is turned by 90 degrees, counterclockwise.
    every = np.concatenate([upright, transposed[[0, 2, 1, 3]]])
    return np.packbits(every.reshape(len(TRANSFORMS), HASH_BITS), axis=1)


# --- the index -----------------------------------------------------------------------------------

_CHUNKS = 16
_CHUNK_BITS = HASH_BITS // _CHUNKS
_VALUES = 1 << _CHUNK_BITS
_BLOCK = 1 << 16  # hashes that are permuted, or candidates that are compared, at a time
_NPY_HEADER = 128  # bytes in front of an array in its file
_SOUGHT = 256  # hashes that are sought at a time, of many

# Bits that are neighbours in a transform are alike in many photos, and a chunk of such bits would
# have a few crowded values. So a chunk takes one bit from each row of the 16 x 16 coefficients,
# each from another column.
_ROW, _COLUMN = np.divmod(np.arange(HASH_BITS), _CHUNK_BITS)
_PERMUTATION = np.argsort((_COLUMN + 5 * _ROW) % _CHUNKS, kind="stable")


@dataclass(frozen=True, slots=True, eq=False)
class HashIndex:
    """An index over hashes, uint8 (n, 32), that does not change; positions are those in that array.

    It takes 100 bytes for each hash and 4 MB. One that was saved is mapped from its files: any
    number of processes share one copy in memory.
    """

    hashes: NDArray[np.uint8]  # (n, 32), with their bits permuted
    order: NDArray[np.uint32]  # (chunks, n): positions, by the values of a chunk
    starts: NDArray[np.uint32]  # (chunks, values + 1): where those of a value begin

    @classmethod
    def of(cls, hashes: NDArray[np.uint8]) -> Self:
        """Make an index over hashes, uint8 (n, 32)."""
        count = len(hashes)
        permuted = np.empty((count, HASH_BYTES), np.uint8)
        for first in range(0, count, _BLOCK):
            permuted[first : first + _BLOCK] = _permute(hashes[first : first + _BLOCK])
        order = np.empty((_CHUNKS, count), np.uint32)
        starts = np.zeros((_CHUNKS, _VALUES + 1), np.uint32)
        for chunk in range(_CHUNKS):
            values = _chunk_values(permuted, chunk)
            order[chunk] = np.argsort(values, kind="stable")
            np.cumsum(np.bincount(values, minlength=_VALUES), out=starts[chunk, 1:])
        return cls(permuted, order, starts)

    def __len__(self) -> int:
        return len(self.hashes)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the index into an existing folder, to be opened by other processes."""
        for name in self.__slots__:
            np.save(Path(folder) / f"{name}.npy", getattr(self, name))

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Self:
        """Map an index that was saved; nothing is read before it is needed."""
        paths = [Path(folder) / f"{name}.npy" for name in cls.__slots__]
        # As plain arrays, which are faster; nothing is copied. An empty one cannot be mapped.
        arrays = (np.load(p, "r" if p.stat().st_size > _NPY_HEADER else None) for p in paths)
        return cls(*map(np.asarray, arrays))

    def hash_at(self, position: int) -> bytes:
        return np.packbits(np.unpackbits(self.hashes[position])[np.argsort(_PERMUTATION)]).tobytes()

    def search(
        self, sought: NDArray[np.uint8], distance: int = MAX_DISTANCE
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.uint8]]:
        """Find all hashes within a distance of some others, uint8 (m, 32).

        Returns, for each pair, ordered by the first two: the position among those sought, the
        position in the index, the distance. A distance above MAX_DISTANCE is a UsageError.
        """
        chunks, flips = _probes(distance)
        permuted = _permute(np.atleast_2d(sought))
        values = np.stack([_chunk_values(permuted, chunk) for chunk in range(_CHUNKS)], axis=1)
        probed = values[:, chunks] ^ flips
        first = self.starts[chunks, probed].astype(np.int64)
        counts = self.starts[chunks, probed + np.int64(1)] - first
        first += chunks * np.int64(len(self))
        words, mine = permuted.view(np.uint64), self.hashes.view(np.uint64)
        totals = counts.sum(axis=1)
        parts = []
        # Cut where the sum passes _BLOCK, so that memory stays flat.
        ends_of_blocks = np.flatnonzero(np.diff(np.cumsum(totals) // _BLOCK)) + 1
        for part in np.split(np.arange(len(totals)), ends_of_blocks):
            many = counts[part].reshape(-1)
            # Ranges of the order, one for each probe, strung together.
            shifts = np.repeat(first[part].reshape(-1) - np.cumsum(many) + many, many)
            right = self.order.reshape(-1)[np.arange(len(shifts)) + shifts].astype(np.intp)
            left = np.repeat(part, totals[part])
            apart = np.bitwise_count(mine[right] ^ words[left]).sum(axis=1, dtype=np.uint16)
            near = apart <= distance
            # A hash comes up once for each chunk that agrees.
            pairs, once = np.unique(left[near] * len(self) + right[near], return_index=True)
            parts.append((*np.divmod(pairs, max(1, len(self))), apart[near][once].astype("u1")))
        left, right, apart = (np.concatenate(column) for column in zip(*parts, strict=True))
        return left, right, apart


def _permute(hashes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.packbits(np.take(np.unpackbits(hashes, axis=1), _PERMUTATION, axis=1), axis=1)


def _chunk_values(permuted: NDArray[np.uint8], chunk: int) -> NDArray[np.uint16]:
    values: NDArray[np.uint16] = np.ascontiguousarray(permuted[:, 2 * chunk : 2 * chunk + 2])
    return values.view(np.uint16)[:, 0]


@lru_cache
def _probes(distance: int) -> tuple[NDArray[np.intp], NDArray[np.uint16]]:
    # Which chunks to look up, and with which bit turned over. With 16 r + a differences, either one
    # of the first a + 1 chunks has at most r of them, or one of the others has fewer than r.
    if not 0 <= distance <= MAX_DISTANCE:
        raise UsageError(f"a distance of {distance} bits: it must be from 0 to {MAX_DISTANCE}")
    radius, rest = divmod(distance, _CHUNKS)
    turned = [(chunk, 1 << bit) for chunk in range(rest + 1) for bit in range(_CHUNK_BITS)]
    plain = [(chunk, 0) for chunk in range(_CHUNKS if radius else rest + 1)]
    chunks, flips = zip(*(plain + turned if radius else plain), strict=True)
    return np.array(chunks, np.intp), np.array(flips, np.uint16)


# --- near-copies ---------------------------------------------------------------------------------

COPY_DISTANCE = 20  # bits; under MAX_DISTANCE, as a decision on a copy has to be right for it


def near_copies(
    hashes: Sequence[str | None],
    exact: Sequence[Hashable | None],
    *,
    match_orientations: bool = False,
) -> NDArray[np.intp]:
    """Return for each image the position of the first one of its group of near-copies.

    A near-copy of a near-copy is of the same group. ``exact`` holds what only images of one group
    share, such as a digest. With ``match_orientations`` rotated and mirrored copies count, too.
    """
    above = list(range(len(hashes)))  # disjoint sets, each known by its first member

    def root(member: int) -> int:
        while above[member] != member:
            above[member] = above[above[member]]
            member = above[member]
        return member

    def join(one: int, other: int) -> None:
        one, other = root(one), root(other)
        above[max(one, other)] = min(one, other)

    # Equal hashes once: there may be thousands of copies of one banner, and they are many pairs.
    for keys in (exact, hashes):
        firsts: dict[Any, int] = {}
        for position, key in enumerate(keys):
            if key is not None:
                join(firsts.setdefault(key, position), position)
    places, distinct = [*firsts.values()], to_bytes([*firsts])
    index = HashIndex.of(distinct)
    for start in range(0, len(distinct), _SOUGHT):
        block = distinct[start : start + _SOUGHT]
        ways = [block]
        if match_orientations:
            ways = [*np.stack([transformed(one) for one in block], axis=1)]
        for sought in ways:
            left, right, _ = index.search(sought, COPY_DISTANCE)
            later = right > left + start
            pairs = zip((left[later] + start).tolist(), right[later].tolist(), strict=True)
            for one, other in pairs:
                join(places[one], places[other])
    return np.array([*map(root, above)], np.intp)
